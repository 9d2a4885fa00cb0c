//! An invoice that an operator pays: read by `lightning-invoice`, made an authorisation by the daemon.

#![no_main]

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{SECP256K1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use strongroom_policy::Network;
use strongroom_proto::strongroom::v1::AuthorizeRequest;
use strongroom_proto::strongroom::v1::authorize_request::What;
use strongroom_signer::rpc::authorization;

/// When the seeds' invoices were made, Unix seconds.
const MADE: u64 = 1_700_000_000;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let key = SecretKey::from_slice(&[7; 32]).expect("a private key");
    let currencies =
        [Currency::Bitcoin, Currency::BitcoinTestnet, Currency::Signet, Currency::Regtest, Currency::Simnet];
    let amounts =
        [None, Some(1), Some(1_000), Some(2_500_000), Some(123_456_789_000), Some(2_000_000_000_000_000)];
    currencies.into_iter().flat_map(move |currency| {
        amounts.map(|amount| {
            let builder = InvoiceBuilder::new(currency.clone())
                .description("coffee".to_owned())
                .payment_hash(sha256::Hash::hash(b"coffee"))
                .payment_secret(PaymentSecret([9; 32]))
                .duration_since_epoch(Duration::from_secs(MADE))
                .min_final_cltv_expiry_delta(80);
            let builder = match amount {
                Some(amount) => builder.amount_milli_satoshis(amount),
                None => builder,
            };
            let invoice = builder.build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, &key));
            invoice.expect("a whole invoice").to_string().into_bytes()
        })
    })
}

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let networks = [Network::Mainnet, Network::Testnet, Network::Signet, Network::Regtest, Network::Simnet];
    for (network, amount_sat) in networks.into_iter().zip([0, 0, 21, 0, u64::MAX]) {
        for now in [MADE, u64::MAX] {
            let what = Some(What::Invoice(text.to_owned()));
            let asked =
                AuthorizeRequest { what, amount_sat, max_fee_sat: amount_sat, ..AuthorizeRequest::default() };
            if let Ok(authorization) = authorization(&asked, network, now) {
                assert!(authorization.amount.to_sat() > 0 && authorization.expires > now);
            }
        }
    }
}

strongroom_fuzz::target!(seeds, run);
