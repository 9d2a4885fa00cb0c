//! Opening and closing channels.

use strongroom_proto::lnrpc::channel_point::FundingTxid;
use strongroom_proto::lnrpc::{
    BatchOpenChannelRequest, ChannelPoint, CloseChannelRequest, OpenChannelRequest,
};
use strongroom_proto::strongroom::v1::preflight_request::What;
use strongroom_proto::strongroom::v1::{CloseIntent, NewChannel, OpenIntent};

use super::{Asked, Unclear, sat_per_kw, unsigned};

/// `OpenChannel` and `OpenChannelSync`.
pub fn open(asked: OpenChannelRequest) -> Asked {
    let capacity_sat = if asked.fund_max { 0 } else { capacity(asked.local_funding_amount)? };
    let peer = match hex::decode(&asked.node_pubkey_string) {
        Ok(key) if asked.node_pubkey.is_empty() => key,
        Ok(_) => asked.node_pubkey,
        Err(_) => return Err("node_pubkey_string is not hex".to_owned()),
    };
    let push_sat = unsigned(asked.push_sat, "push_sat")?;
    let channel = NewChannel { capacity_sat, push_sat, peer, close_address: asked.close_address };
    Ok(Some(What::Open(OpenIntent {
        channels: vec![channel],
        sat_per_kw: sat_per_kw(asked.sat_per_vbyte, asked.sat_per_byte)?,
        funded_elsewhere: asked.funding_shim.is_some(),
    })))
}

/// `BatchOpenChannel`: one transaction funds them all.
pub fn batch_open(asked: BatchOpenChannelRequest) -> Asked {
    let channels = asked.channels.into_iter().map(|channel| {
        let push_sat = unsigned(channel.push_sat, "push_sat")?;
        let capacity_sat = capacity(channel.local_funding_amount)?;
        let (peer, close_address) = (channel.node_pubkey, channel.close_address);
        Ok(NewChannel { capacity_sat, push_sat, peer, close_address })
    });
    let channels = channels.collect::<Result<Vec<_>, Unclear>>()?;
    if channels.is_empty() {
        return Err("it opens no channel".to_owned());
    }
    let rate = unsigned(asked.sat_per_vbyte, "sat_per_vbyte")?;
    Ok(Some(What::Open(OpenIntent { channels, sat_per_kw: sat_per_kw(rate, 0)?, funded_elsewhere: false })))
}

/// `CloseChannel`, by agreement or by force.
pub fn close(asked: CloseChannelRequest) -> Asked {
    let point = asked.channel_point.ok_or("no channel_point")?;
    Ok(Some(What::Close(CloseIntent {
        channel: outpoint(&point)?,
        force: asked.force,
        address: asked.delivery_address,
        sat_per_kw: sat_per_kw(asked.sat_per_vbyte, asked.sat_per_byte)?,
    })))
}

fn capacity(amount: i64) -> Result<u64, Unclear> {
    match unsigned(amount, "local_funding_amount")? {
        0 => Err("local_funding_amount is 0; allowed: more".to_owned()),
        sat => Ok(sat),
    }
}

/// txid:index
fn outpoint(point: &ChannelPoint) -> Result<String, Unclear> {
    let txid = match &point.funding_txid {
        None => return Err("channel_point has no txid".to_owned()),
        Some(FundingTxid::FundingTxidStr(text)) => text.clone(),
        Some(FundingTxid::FundingTxidBytes(bytes)) => {
            hex::encode(bytes.iter().rev().copied().collect::<Vec<u8>>())
        }
    };
    if txid.len() != 64 {
        return Err(format!("channel_point has a txid of {} hex digits; allowed: 64", txid.len()));
    }
    Ok(format!("{txid}:{}", point.output_index))
}

#[cfg(test)]
mod tests {
    use strongroom_proto::lnrpc::{BatchOpenChannel, FundingShim};

    use super::*;

    fn opening(asked: Asked) -> OpenIntent {
        match asked.expect("it is clear") {
            Some(What::Open(intent)) => intent,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_clear_opens_and_closes_nothing() {
        for (amount, push) in [(0, 0), (-5, 0), (5, -1)] {
            let asked =
                OpenChannelRequest { local_funding_amount: amount, push_sat: push, ..Default::default() };
            assert!(open(asked).is_err(), "{amount} {push}");
        }
        assert!(batch_open(BatchOpenChannelRequest::default()).is_err());
        let none = BatchOpenChannel::default();
        assert!(batch_open(BatchOpenChannelRequest { channels: vec![none], sat_per_vbyte: 1 }).is_err());
        assert!(close(CloseChannelRequest::default()).is_err());
        for txid in [None, Some(FundingTxid::FundingTxidBytes(vec![1; 31]))] {
            let point = ChannelPoint { funding_txid: txid, output_index: 0 };
            assert!(close(CloseChannelRequest { channel_point: Some(point), ..Default::default() }).is_err());
        }
    }

    #[test]
    fn capacities_and_who_funds_them_come_through() {
        let asked = OpenChannelRequest {
            local_funding_amount: 9,
            push_sat: 2,
            node_pubkey: vec![2; 33],
            ..Default::default()
        };
        let opened = opening(open(asked.clone()));
        let channel =
            NewChannel { capacity_sat: 9, push_sat: 2, peer: vec![2; 33], close_address: String::new() };
        assert_eq!(opened.channels, [channel]);
        let by_text = OpenChannelRequest {
            node_pubkey: Vec::new(),
            node_pubkey_string: "03".repeat(33),
            ..asked.clone()
        };
        assert_eq!(opening(open(by_text)).channels[0].peer, [3; 33]);
        assert!(open(OpenChannelRequest { node_pubkey_string: "x".into(), ..asked.clone() }).is_err());
        assert!(!opened.funded_elsewhere);
        let shim = OpenChannelRequest { funding_shim: Some(FundingShim {}), ..asked.clone() };
        assert!(opening(open(shim)).funded_elsewhere);
        let most = OpenChannelRequest { fund_max: true, local_funding_amount: 0, ..asked };
        assert_eq!(opening(open(most)).channels[0].capacity_sat, 0);
    }

    #[test]
    fn where_a_close_will_pay_comes_through() {
        let asked = OpenChannelRequest {
            local_funding_amount: 9,
            close_address: "bcrt1qopen".into(),
            ..Default::default()
        };
        assert_eq!(opening(open(asked)).channels[0].close_address, "bcrt1qopen");
        let [here, elsewhere] = ["", "bcrt1qbatch"].map(|address| BatchOpenChannel {
            local_funding_amount: 9,
            close_address: address.into(),
            ..Default::default()
        });
        let batch = BatchOpenChannelRequest { channels: vec![here, elsewhere], sat_per_vbyte: 1 };
        let addresses = opening(batch_open(batch)).channels.into_iter().map(|channel| channel.close_address);
        assert_eq!(addresses.collect::<Vec<_>>(), ["", "bcrt1qbatch"]);
        let point = ChannelPoint {
            funding_txid: Some(FundingTxid::FundingTxidStr("ab".repeat(32))),
            output_index: 0,
        };
        let asked = CloseChannelRequest {
            channel_point: Some(point),
            delivery_address: "bcrt1qclose".into(),
            ..Default::default()
        };
        let Ok(Some(What::Close(intent))) = close(asked) else { panic!("it is clear") };
        assert_eq!(intent.address, "bcrt1qclose");
    }

    /// The numbers are lnd's: a message as lnd's own client writes it.
    #[test]
    fn close_addresses_stand_where_lnd_puts_them() {
        use prost::Message as _;
        let wire = |field: u8| [&[field << 3 | 2, 1][..], b"x"].concat();
        let asked = OpenChannelRequest::decode(&wire(13)[..]).expect("one field");
        assert_eq!(asked.close_address, "x");
        assert_eq!(BatchOpenChannel::decode(&wire(7)[..]).expect("one field").close_address, "x");
        assert_eq!(CloseChannelRequest::decode(&wire(5)[..]).expect("one field").delivery_address, "x");
    }

    #[test]
    fn a_channel_is_named_as_people_read_it() {
        let mut bytes = vec![0; 32];
        bytes[31] = 0xab;
        let text = format!("ab{}", "00".repeat(31));
        for txid in [FundingTxid::FundingTxidBytes(bytes), FundingTxid::FundingTxidStr(text.clone())] {
            let point = ChannelPoint { funding_txid: Some(txid), output_index: 3 };
            assert_eq!(outpoint(&point), Ok(format!("{text}:3")));
        }
    }
}
