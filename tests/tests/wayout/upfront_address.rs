//! A channel opened with an agreed close address that is not ours: the peer can close at will, and we are asked to sign.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use strongroom_tests::clock::until_true;
use strongroom_tests::companion::Companion;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::lnd::OpenChannel;
use strongroom_tests::network::{Plan, short_id};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, refusals};

/// With the companion the opening is turned down. Without it, the close is refused when the peer asks for it, with the
/// address named, and all channels with the peer are down until that channel is closed by force.
#[test]
fn a_foreign_close_address_is_told_of_and_ends_one_channel_only() -> Result<()> {
    Workdir::new("wayout-upfront")?.run(|dir| {
        let plan = Plan {
            policy: PolicyChoice::cautious(),
            chain: true,
            companion: true,
            ..Plan::of(SignerKind::Strongroom)
        };
        let mut bed = Bed::planned(dir, &[], plan)?;
        bed.net.fund(&bed.net.alice, 2, 5_000_000)?;
        let outside = bed.net.bitcoind.new_address()?;
        let agreed = json!({"close_address": outside});
        let companion = {
            let signer = bed.net.signer.as_mut().and_then(|signer| signer.strongroomd());
            Companion::start(
                &dir.join("companion"),
                &bed.net.alice,
                signer.context("no Strongroom")?,
                "refuse",
            )?
        };
        let open = |bed: &Bed| {
            let to = &bed.net.bob;
            let open =
                OpenChannel { to, capacity: 2_000_000, push: 100_000, format: Anchors, private: false };
            bed.net.alice.open_channel_with(&open, agreed.clone())
        };
        match open(&bed) {
            Ok(point) => bail!("the companion let it begin: {point}"),
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains("turned down before lnd began") && text.contains(&outside), "{text}");
            }
        }
        drop(companion);
        bed.nothing_was_refused()?;

        let net = &bed.net;
        let closing = open(&bed)?;
        net.mine(6)?;
        net.alice.wait_active(std::slice::from_ref(&closing))?;
        let others = net.open(&net.alice, &net.bob, 2, 2_000_000, 100_000, Anchors)?;
        let before = bed.alice_has()?;
        // lnd of the peer's tells nothing of our refusal: it waits.
        let path = format!("/v1/channels/{}/{}?sat_per_vbyte=5", closing.txid, closing.vout);
        let _ = net.bob.rest().within(10).delete_stream_first(&path);
        until_true(30, "the close refused", || Ok(bed.daemon()?.refused()? > 0))?;
        let told = refusals(bed.daemon()?)?;
        ensure!(
            told.iter().all(|told| told.contains("mutual-close-balance") && told.contains(&outside)),
            "refused for another reason, or without the address: {told:#?}"
        );
        let status = bed.daemon()?.status()?.to_string();
        ensure!(
            status.contains(&closing.txid),
            "strongroom status does not tell of the refused close: {status}"
        );

        // The way out: that channel by force; the others go on.
        let net = &bed.net;
        net.alice.close_channel(&closing, true)?;
        net.mine(1)?;
        net.alice.connect(&net.bob)?;
        net.alice.wait_active(&others)?;
        for point in &others {
            net.alice.pay(&net.bob.invoice(10_000)?, Some(&short_id(&net.alice, point)?))?;
        }
        bed.all_home(60)?;
        bed.mine_for_alice(1)?;
        let has = bed.alice_has()?;
        ensure!(has + 50_000 + 20_000 > before, "{has} of {before} sat are there");
        Ok(())
    })
}
