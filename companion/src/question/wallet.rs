//! Payments from the wallet. `FinalizePsbt` and `SignPsbt` are not among them: the signer itself is asked at once, and
//! nothing is begun before.

use std::collections::HashMap;

use bitcoin::Psbt;
use strongroom_proto::lnrpc::{SendCoinsRequest, SendManyRequest};
use strongroom_proto::strongroom::v1::destination::To;
use strongroom_proto::strongroom::v1::preflight_request::What;
use strongroom_proto::strongroom::v1::{Destination, WalletIntent};
use strongroom_proto::walletrpc::fund_psbt_request::Template;
use strongroom_proto::walletrpc::{FundPsbtRequest, SendOutputsRequest};

use super::{Asked, Unclear, sat_per_kw, unsigned};

/// `SendCoins`: one destination, or the whole wallet to it.
pub fn send_coins(asked: SendCoinsRequest) -> Asked {
    let amount = unsigned(asked.amount, "amount")?;
    let sat_per_kw = sat_per_kw(asked.sat_per_vbyte, asked.sat_per_byte)?;
    spend(vec![to_address(asked.addr, amount)], sat_per_kw, asked.send_all)
}

/// `SendMany`: a map of addresses.
pub fn send_many(asked: SendManyRequest) -> Asked {
    let pay = |(address, amount)| Ok(to_address(address, unsigned(amount, "an amount")?));
    let outputs = asked.addr_to_amount.into_iter().map(pay).collect::<Result<_, Unclear>>()?;
    spend(outputs, sat_per_kw(asked.sat_per_vbyte, asked.sat_per_byte)?, false)
}

/// `SendOutputs`: scripts.
pub fn send_outputs(asked: SendOutputsRequest) -> Asked {
    let outputs = asked
        .outputs
        .into_iter()
        .map(|output| Ok(to_script(output.pk_script.to_vec(), unsigned(output.value, "a value")?)))
        .collect::<Result<_, Unclear>>()?;
    spend(outputs, unsigned(asked.sat_per_kw, "sat_per_kw")?, false)
}

/// `FundPsbt`: chooses and locks coins for a transaction to be signed later.
pub fn fund_psbt(asked: FundPsbtRequest) -> Asked {
    // The keys of imported accounts are not the signer's.
    if !matches!(&*asked.account, "" | "default") {
        return Ok(None);
    }
    let outputs = match asked.template {
        None => return Err("no template".to_owned()),
        Some(Template::Raw(raw)) => by_address(raw.outputs),
        Some(Template::Psbt(psbt)) => by_psbt(&psbt)?,
        Some(Template::CoinSelect(select)) => by_psbt(&select.psbt)?,
    };
    if outputs.is_empty() {
        // All goes to change.
        return Ok(None);
    }
    spend(outputs, asked.sat_per_kw.max(sat_per_kw(asked.sat_per_vbyte, 0)?), false)
}

fn by_address(outputs: HashMap<String, u64>) -> Vec<Destination> {
    outputs.into_iter().map(|(address, amount)| to_address(address, amount)).collect()
}

fn by_psbt(bytes: &[u8]) -> Result<Vec<Destination>, Unclear> {
    let psbt = Psbt::deserialize(bytes).map_err(|e| format!("the PSBT cannot be read: {e}"))?;
    let outputs = psbt.unsigned_tx.output.into_iter();
    Ok(outputs.map(|output| to_script(output.script_pubkey.into_bytes(), output.value.to_sat())).collect())
}

fn spend(outputs: Vec<Destination>, sat_per_kw: u64, all: bool) -> Asked {
    if outputs.is_empty() {
        return Err("it pays nobody".to_owned());
    }
    Ok(Some(What::Wallet(WalletIntent { outputs, sat_per_kw, all })))
}

fn to_address(address: String, amount_sat: u64) -> Destination {
    Destination { to: Some(To::Address(address)), amount_sat }
}

fn to_script(script: Vec<u8>, amount_sat: u64) -> Destination {
    Destination { to: Some(To::Script(script)), amount_sat }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
    use strongroom_proto::walletrpc::{TxTemplate, WalletOutput};

    use super::*;

    fn wallet(asked: Asked) -> WalletIntent {
        match asked.expect("it is clear") {
            Some(What::Wallet(intent)) => intent,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_clear_pays_nobody() {
        let negative = |amount| SendCoinsRequest { addr: "a".into(), amount, ..Default::default() };
        assert!(send_coins(negative(-1)).is_err());
        assert!(send_many(SendManyRequest::default()).is_err());
        let many = HashMap::from([("a".to_owned(), 5), ("b".to_owned(), -5)]);
        assert!(send_many(SendManyRequest { addr_to_amount: many, ..Default::default() }).is_err());
        let output = WalletOutput { value: -5, pk_script: vec![0x51].into() };
        assert!(send_outputs(SendOutputsRequest { outputs: vec![output], sat_per_kw: 0 }).is_err());
        assert!(fund_psbt(FundPsbtRequest::default()).is_err());
        let torn = Template::Psbt(b"psbt\xff\x01".to_vec().into());
        assert!(fund_psbt(FundPsbtRequest { template: Some(torn), ..Default::default() }).is_err());
    }

    #[test]
    fn destinations_and_amounts_come_through() {
        let all =
            SendCoinsRequest { addr: "a".into(), send_all: true, sat_per_vbyte: 4, ..Default::default() };
        let all = wallet(send_coins(all));
        assert_eq!((all.outputs, all.sat_per_kw, all.all), (vec![to_address("a".into(), 0)], 1_000, true));
        let raw = TxTemplate { outputs: HashMap::from([("b".to_owned(), 7)]) };
        let raw =
            FundPsbtRequest { template: Some(Template::Raw(raw)), sat_per_kw: 900, ..Default::default() };
        let asked = wallet(fund_psbt(raw.clone()));
        assert_eq!((asked.outputs, asked.sat_per_kw), (vec![to_address("b".into(), 7)], 900));
        assert_eq!(fund_psbt(FundPsbtRequest { account: "cold".into(), ..raw }), Ok(None));
    }

    #[test]
    fn a_psbts_outputs_are_read() {
        let script = ScriptBuf::from(vec![0x51]);
        let output = TxOut { value: Amount::from_sat(9), script_pubkey: script.clone() };
        let tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![],
            output: vec![output],
        };
        let psbt = Psbt::from_unsigned_tx(tx).expect("unsigned").serialize();
        let asked = FundPsbtRequest { template: Some(Template::Psbt(psbt.into())), ..Default::default() };
        assert_eq!(wallet(fund_psbt(asked)).outputs, [to_script(script.into_bytes(), 9)]);
    }
}
