//! Payments over channels.

use std::str::FromStr;

use lightning_invoice::SignedRawBolt11Invoice;
use strongroom_proto::routerrpc::{SendPaymentRequest, SendToRouteRequest};
use strongroom_proto::strongroom::v1::PaymentIntent;
use strongroom_proto::strongroom::v1::preflight_request::What;

use super::{Asked, Unclear, unsigned};

/// `SendPaymentV2`: by invoice, or by hash and amount; keysend and AMP too.
pub fn send(asked: SendPaymentRequest) -> Asked {
    let own_amount = msat(asked.amt, asked.amt_msat, "amt")?;
    let (hash, amount) = if asked.payment_request.is_empty() {
        (asked.payment_hash, own_amount)
    } else {
        let (hash, amount) = invoice(&asked.payment_request)?;
        (hash.to_vec(), amount.unwrap_or(0).max(own_amount))
    };
    if amount == 0 {
        return Err("neither request nor invoice say an amount".to_owned());
    }
    // lnd makes a hash of its own for each part.
    let payment_hash = if asked.amp { Vec::new() } else { hash };
    if !asked.amp && payment_hash.len() != 32 {
        return Err(format!("a payment hash of {} bytes; allowed: 32", payment_hash.len()));
    }
    Ok(Some(What::Payment(PaymentIntent {
        payment_hash,
        amount_msat: amount,
        max_fee_msat: msat(asked.fee_limit_sat, asked.fee_limit_msat, "fee_limit")?,
        max_part_msat: asked.max_shard_size_msat,
    })))
}

/// `SendToRouteV2`: one HTLC along a route whose fees are known.
pub fn send_to_route(asked: SendToRouteRequest) -> Asked {
    let route = asked.route.ok_or("no route")?;
    if asked.payment_hash.len() != 32 {
        return Err(format!("a payment hash of {} bytes; allowed: 32", asked.payment_hash.len()));
    }
    Ok(Some(What::Payment(PaymentIntent {
        payment_hash: asked.payment_hash,
        amount_msat: unsigned(route.total_amt_msat, "total_amt_msat")?,
        max_fee_msat: 0,
        max_part_msat: 0,
    })))
}

/// Hash and amount (msat) of a BOLT 11 invoice. Whether it is one that can be paid is lnd's business.
fn invoice(text: &str) -> Result<([u8; 32], Option<u64>), Unclear> {
    let unclear = |why: String| format!("the invoice cannot be read: {why}");
    let signed = SignedRawBolt11Invoice::from_str(text).map_err(|e| unclear(e.to_string()))?;
    let raw = signed.raw_invoice();
    let hash = raw.payment_hash().ok_or_else(|| unclear("it has no payment hash".to_owned()))?;
    // Invoices count in tenths of a millisatoshi.
    Ok((*hash.0.as_ref(), raw.amount_pico_btc().map(|pico| pico.div_ceil(10))))
}

/// An amount that lnd takes in either unit.
fn msat(sat: i64, msat: i64, what: &str) -> Result<u64, Unclear> {
    Ok(unsigned(sat, what)?.saturating_mul(1_000).max(unsigned(msat, what)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first of BOLT 11's examples: any amount.
    const DONATION: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
    /// The second: 250,000 sat.
    const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

    fn payment(asked: SendPaymentRequest) -> Result<PaymentIntent, Unclear> {
        match send(asked)? {
            Some(What::Payment(intent)) => Ok(intent),
            other => panic!("{other:?}"),
        }
    }

    fn by_invoice(text: &str) -> SendPaymentRequest {
        SendPaymentRequest { payment_request: text.to_owned(), ..SendPaymentRequest::default() }
    }

    #[test]
    fn what_is_not_clear_is_no_payment() {
        let hash = vec![7; 32];
        let altered = COFFEE.replacen("2500u", "2600u", 1);
        for (asked, says) in [
            (by_invoice(DONATION), "an amount"),
            (by_invoice("lnbc1nothing"), "invoice"),
            (by_invoice(&altered), "invoice"),
            (SendPaymentRequest { payment_hash: hash.clone(), ..Default::default() }, "an amount"),
            (SendPaymentRequest { payment_hash: hash.clone(), amt: -5, ..Default::default() }, "-5"),
            (SendPaymentRequest { payment_hash: vec![7; 31], amt: 5, ..Default::default() }, "31 bytes"),
            (SendPaymentRequest { amt: 5, ..Default::default() }, "0 bytes"),
        ] {
            let error = payment(asked).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
        let route = SendToRouteRequest { payment_hash: hash, route: None };
        assert!(send_to_route(route).is_err());
    }

    #[test]
    fn an_invoice_gives_hash_and_amount() {
        let hash = hex::decode("0001020304050607080900010203040506070809000102030405060708090102");
        let coffee =
            payment(SendPaymentRequest { fee_limit_sat: 9, ..by_invoice(COFFEE) }).expect("it is clear");
        assert_eq!(coffee.payment_hash, hash.expect("hex"));
        assert_eq!((coffee.amount_msat, coffee.max_fee_msat), (250_000_000, 9_000));
        let given =
            payment(SendPaymentRequest { amt_msat: 1_500, ..by_invoice(DONATION) }).expect("it is clear");
        assert_eq!(given.amount_msat, 1_500);
        let amp =
            payment(SendPaymentRequest { amp: true, amt: 5, ..Default::default() }).expect("it is clear");
        assert_eq!((amp.payment_hash.len(), amp.amount_msat), (0, 5_000));
    }
}
