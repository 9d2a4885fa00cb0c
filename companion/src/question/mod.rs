//! Which of lnd's calls begin something that the signer may refuse, and what the signer is asked about them.
//!
//! A listed call that cannot be read is turned down: what the companion does not understand it does not let begin.

mod channels;
mod payment;
mod wallet;

use prost::Message;
use strongroom_proto::strongroom::v1::PreflightRequest;
use strongroom_proto::strongroom::v1::preflight_request::What;

/// What a call is.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Begins nothing that is looked at here.
    Nothing,
    /// The signer is asked this first.
    Question(Box<PreflightRequest>),
    /// Begins something, and cannot be understood: why.
    Unclear(String),
}

/// Why a request is not understood.
type Unclear = String;

/// What is asked about a call, or `None` where there is nothing to ask.
type Asked = Result<Option<What>, Unclear>;

/// Reads a call's request.
pub fn hear(call: &str, request: &[u8]) -> Heard {
    let asked = match call {
        "/routerrpc.Router/SendPaymentV2" => read(request, payment::send),
        "/routerrpc.Router/SendToRouteV2" => read(request, payment::send_to_route),
        "/lnrpc.Lightning/SendCoins" => read(request, wallet::send_coins),
        "/lnrpc.Lightning/SendMany" => read(request, wallet::send_many),
        "/walletrpc.WalletKit/SendOutputs" => read(request, wallet::send_outputs),
        "/walletrpc.WalletKit/FundPsbt" => read(request, wallet::fund_psbt),
        "/lnrpc.Lightning/OpenChannel" | "/lnrpc.Lightning/OpenChannelSync" => read(request, channels::open),
        "/lnrpc.Lightning/BatchOpenChannel" => read(request, channels::batch_open),
        "/lnrpc.Lightning/CloseChannel" => read(request, channels::close),
        // Ways to pay that lnd had before 0.21.
        "/lnrpc.Lightning/SendPayment"
        | "/lnrpc.Lightning/SendPaymentSync"
        | "/lnrpc.Lightning/SendToRoute"
        | "/lnrpc.Lightning/SendToRouteSync"
        | "/routerrpc.Router/SendPayment"
        | "/routerrpc.Router/SendToRoute" => {
            Err("this call is not understood here; SendPaymentV2 and SendToRouteV2 are".to_owned())
        }
        _ => return Heard::Nothing,
    };
    match asked {
        Ok(None) => Heard::Nothing,
        Ok(Some(what)) => Heard::Question(Box::new(PreflightRequest { what: Some(what) })),
        Err(why) => Heard::Unclear(why),
    }
}

fn read<M: Message + Default>(request: &[u8], ask: fn(M) -> Asked) -> Asked {
    ask(M::decode(request).map_err(|e| format!("the request cannot be read: {e}"))?)
}

/// A number that must not be negative.
fn unsigned(value: i64, what: &str) -> Result<u64, Unclear> {
    u64::try_from(value).map_err(|_| format!("{what} is {value}; allowed: 0 or more"))
}

/// A fee rate by the two fields that lnd has for it.
fn sat_per_kw(sat_per_vbyte: u64, sat_per_byte: i64) -> Result<u64, Unclear> {
    let older = unsigned(sat_per_byte, "sat_per_byte")?;
    Ok(sat_per_vbyte.max(older).saturating_mul(250))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every call that is looked at.
    const CALLS: [&str; 10] = [
        "/routerrpc.Router/SendPaymentV2",
        "/routerrpc.Router/SendToRouteV2",
        "/lnrpc.Lightning/SendCoins",
        "/lnrpc.Lightning/SendMany",
        "/walletrpc.WalletKit/SendOutputs",
        "/walletrpc.WalletKit/FundPsbt",
        "/lnrpc.Lightning/OpenChannel",
        "/lnrpc.Lightning/OpenChannelSync",
        "/lnrpc.Lightning/BatchOpenChannel",
        "/lnrpc.Lightning/CloseChannel",
    ];

    #[test]
    fn what_cannot_be_read_begins_nothing() {
        for call in CALLS {
            // Field 1 of a wire type that does not exist, and a length beyond the end.
            for bytes in [&[0x0f][..], &[0x0a, 0x7f, 1]] {
                assert!(matches!(hear(call, bytes), Heard::Unclear(_)), "{call}");
            }
        }
        for older in ["/lnrpc.Lightning/SendPaymentSync", "/routerrpc.Router/SendToRoute"] {
            assert!(matches!(hear(older, &[]), Heard::Unclear(_)), "{older}");
        }
    }

    #[test]
    fn other_calls_are_not_even_read() {
        for call in ["/lnrpc.Lightning/GetInfo", "/walletrpc.WalletKit/FinalizePsbt", ""] {
            assert_eq!(hear(call, &[0x0f]), Heard::Nothing);
        }
    }

    #[test]
    fn fee_rates_are_of_weight() {
        assert_eq!(sat_per_kw(5, 0), Ok(1_250));
        assert_eq!(sat_per_kw(0, 5), Ok(1_250));
        assert_eq!(sat_per_kw(u64::MAX, 0), Ok(u64::MAX));
        assert!(sat_per_kw(0, -1).is_err());
    }
}
