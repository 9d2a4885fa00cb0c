use bitcoin::key::{CompressedPublicKey, TapTweak as _};
use bitcoin::{ScriptBuf, ScriptHash};
use secp256k1::SECP256K1;

use super::*;
use crate::fixture::{Seed, lightning, stranger, wallet};

fn p2wpkh(key: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&CompressedPublicKey(*key).wpubkey_hash())
}

fn nested(key: &PublicKey) -> ScriptBuf {
    use bitcoin::hashes::Hash as _;
    ScriptBuf::new_p2sh(&ScriptHash::hash(p2wpkh(key).as_bytes()))
}

fn p2tr(key: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2tr_tweaked(key.x_only_public_key().0.tap_tweak(SECP256K1, None).0)
}

#[test]
fn missing_foreign_and_doubled_accounts_are_refused() {
    let seed = Seed::new(1);
    let path = |purpose, coin, account| AccountPath { purpose, coin, account };
    let of = |paths: &[AccountPath]| {
        let accounts = paths.iter().map(|path| (*path, seed.xpub(path))).collect();
        Accounts::with_lookahead(accounts, 1).err()
    };
    let wallet = [path(49, 0, 0), path(84, 0, 0), path(86, 0, 0)];
    let all: Vec<_> = wallet.into_iter().chain((0..=9).map(|family| path(1017, 1, family))).collect();
    assert_eq!(of(&all), None);
    for left_out in 0..all.len() {
        let mut fewer = all.clone();
        let missing = fewer.remove(left_out);
        assert_eq!(of(&fewer), Some(AccountsError::Missing(missing)));
    }
    for foreign in [path(84, 1, 0), path(84, 0, 1), path(44, 0, 0), path(1017, 1, 256)] {
        assert_eq!(of(&[all.clone(), vec![foreign]].concat()), Some(AccountsError::Foreign(foreign)));
    }
    assert_eq!(of(&[all.clone(), vec![all[1]]].concat()), Some(AccountsError::Duplicate(all[1])));
    let mixed = path(1017, 0, 10);
    let expected = AccountsError::MixedCoins { expected: 1, found: mixed };
    assert_eq!(of(&[all, vec![mixed]].concat()), Some(expected));
}

#[test]
fn only_wallet_scripts_of_the_right_form_are_ours() {
    let seed = Seed::new(1);
    let accounts = seed.accounts();
    let key = |purpose, branch, index| seed.key(&wallet(purpose, branch, index));
    let own = |script: &ScriptBuf| accounts.find_script(script);
    // Change of the 49' account is not nested in lnd's wallet; its receiving addresses are.
    assert_eq!(own(&nested(&key(49, 1, 3))), None);
    assert_eq!(own(&p2wpkh(&key(49, 0, 3))), None);
    assert_eq!(own(&p2tr(&key(84, 0, 3))), None);
    assert_eq!(own(&p2wpkh(&key(86, 0, 3))), None);
    assert_eq!(own(&stranger(1)), None);
    for family in 0..=9 {
        let channel = seed.key(&lightning(family, 2));
        for script in [p2wpkh(&channel), nested(&channel), p2tr(&channel)] {
            assert_eq!(own(&script), None, "family {family} holds no wallet coins");
        }
    }
    for (purpose, branch, script) in [
        (49, 0, nested(&key(49, 0, 3))),
        (49, 1, p2wpkh(&key(49, 1, 3))),
        (84, 0, p2wpkh(&key(84, 0, 3))),
        (84, 1, p2wpkh(&key(84, 1, 3))),
        (86, 0, p2tr(&key(86, 0, 3))),
        (86, 1, p2tr(&key(86, 1, 3))),
    ] {
        assert_eq!(own(&script), Some(WalletPath { purpose, branch, index: 3 }));
    }
}

#[test]
fn the_lookahead_moves_with_use_and_no_further() {
    let seed = Seed::new(1);
    let accounts = seed.accounts_ahead(5);
    let script = |index| p2wpkh(&seed.key(&wallet(84, 1, index)));
    assert_eq!(accounts.find_script(&script(5)), None);
    assert!(accounts.find_script(&script(4)).is_some());
    assert!(accounts.find_script(&script(9)).is_some());
    assert_eq!(accounts.find_script(&script(15)), None);
    // Another branch has not moved.
    assert_eq!(accounts.find_script(&p2wpkh(&seed.key(&wallet(84, 0, 5)))), None);

    // A key far ahead of the window moves it a step at a time, and is not itself believed.
    accounts.note_used(&wallet(84, 1, u32::MAX >> 1));
    let highest = |accounts: &Accounts| accounts.marks().iter().map(|mark| mark.path).max();
    assert_eq!(highest(&accounts), Some(wallet(84, 1, 9)));

    let again = seed.accounts_ahead(5);
    again.restore(&accounts.marks());
    assert!(again.find_script(&script(14)).is_some());
}

#[test]
fn unpaid_addresses_keep_none_of_ours_from_being_recognised() {
    let seed = Seed::new(1);
    let accounts = seed.accounts_ahead(5);
    // Only the last of 90 addresses is ever paid: a flood of requests for addresses, or a shop's orders.
    for (purpose, branch, script) in [
        (86, 0, p2tr(&seed.key(&wallet(86, 0, 89)))),
        (84, 1, p2wpkh(&seed.key(&wallet(84, 1, 89)))),
        (49, 0, nested(&seed.key(&wallet(49, 0, 89)))),
    ] {
        assert_eq!(accounts.find_script(&script), None);
        assert!(accounts.may_be_far([&*script].into_iter()));
        accounts.search([&*script].into_iter(), || true);
        let path = WalletPath { purpose, branch, index: 89 };
        assert_eq!(accounts.find_script(&script), Some(path));
        // Kept, so that it is found at once after a restart.
        let again = seed.accounts_ahead(5);
        again.restore(&accounts.marks());
        assert_eq!(again.find_script(&script), Some(path));
        assert!(!accounts.may_be_far([&*script].into_iter()));
    }
}

#[test]
fn a_strangers_script_costs_a_search_once() {
    let seed = Seed::new(1);
    let accounts = seed.accounts_ahead(5);
    let beyond = p2tr(&seed.key(&wallet(86, 0, 100)));
    let wsh = crate::script::to_remote_script(&seed.bytes(3, 4)).to_p2wsh();
    assert!(!accounts.may_be_far([&*wsh].into_iter()), "no kind that the wallet has");
    accounts.search([&*beyond].into_iter(), || false);
    assert!(accounts.may_be_far([&*beyond].into_iter()), "no time, no search");
    accounts.search([&*beyond].into_iter(), || true);
    assert_eq!(accounts.find_script(&beyond), None, "twenty windows beyond the last one used and no further");
    for number in 0..5 {
        let other = p2tr(&Seed::new(2).key(&wallet(86, 0, number)));
        assert!(!accounts.may_be_far([&*other].into_iter()), "all keys of this kind are derived");
    }
    // Other kinds are searched for themselves.
    assert!(accounts.may_be_far([&*p2wpkh(&Seed::new(2).key(&wallet(84, 0, 0)))].into_iter()));
}

#[test]
fn what_is_searched_ahead_needs_no_search() {
    let seed = Seed::new(1);
    let accounts = seed.accounts_ahead(5);
    let mine = [
        p2tr(&seed.key(&wallet(86, 0, 89))),
        p2wpkh(&seed.key(&wallet(84, 1, 89))),
        nested(&seed.key(&wallet(49, 0, 89))),
    ];
    assert!(mine.iter().all(|script| accounts.find_script(script).is_none()));
    // Six branches of 95 keys beyond the window, 64 at a time.
    let mut steps = 1;
    while accounts.search_ahead() {
        steps += 1;
    }
    assert_eq!(steps, 12);
    let other = p2tr(&Seed::new(2).key(&wallet(86, 0, 0)));
    assert!(!accounts.may_be_far([&*other].into_iter()), "nothing is left to be searched");
    assert!(mine.iter().all(|script| accounts.find_script(script).is_some()));
}

#[test]
fn an_operator_moves_the_lookahead_within_its_end() {
    let seed = Seed::new(1);
    let accounts = seed.accounts_ahead(5);
    let path = |index| WalletPath { purpose: 84, branch: 0, index };
    assert_eq!(accounts.reach(&path(FURTHEST + 1)), Err(TooFar(FURTHEST + 1)));
    let script = p2wpkh(&seed.key(&wallet(84, 0, 704)));
    assert_eq!(accounts.find_script(&script), None);
    assert_eq!(accounts.reach(&path(700)), Ok(()));
    assert_eq!(accounts.marks(), [Mark { path: wallet(84, 0, 700) }]);
    assert!(accounts.find_script(&script).is_some());
}

#[test]
fn channel_keys_are_found_by_themselves() {
    let seed = Seed::new(1);
    let accounts = seed.accounts();
    assert_eq!(accounts.find_multisig(&seed.bytes(1, 0)), None);
    assert_eq!(accounts.find_multisig(&Seed::new(2).bytes(0, 0)), None);
    assert_eq!(accounts.find_any(&Seed::new(2).bytes(6, 0)), None);
    assert_eq!(accounts.find_in_family(10, &seed.bytes(6, 0)), None);
    let locator = |family, index| Some(KeyLocator { family, index });
    assert_eq!(accounts.find_multisig(&seed.bytes(0, 7)), locator(0, 7));
    assert_eq!(accounts.find_any(&seed.bytes(6, 0)), locator(6, 0));
}

#[test]
fn to_remote_is_found_in_both_forms() {
    let seed = Seed::new(1);
    let accounts = seed.accounts();
    let bytes = seed.bytes(3, 4);
    let anchors = crate::script::to_remote_script(&bytes).to_p2wsh();
    let plain = p2wpkh(&seed.key(&lightning(3, 4)));
    let key = KeyLocator { family: 3, index: 4 };
    assert_eq!(accounts.find_to_remote(&anchors), Some((key, ToRemote::Anchors)));
    assert_eq!(accounts.find_to_remote(&plain), Some((key, ToRemote::StaticKey)));
    assert_eq!(accounts.find_to_remote(&p2wpkh(&seed.key(&lightning(2, 4)))), None);
}

#[test]
fn keys_are_those_of_bip32() {
    let seed = Seed::new(1);
    let accounts = seed.accounts();
    for path in [wallet(49, 1, 3), wallet(86, 0, 70_000), lightning(0, 0), lightning(9, 5)] {
        assert_eq!(accounts.public_key(&path), Ok(seed.key(&path)));
        assert_eq!(accounts.public_key(&path), Ok(seed.key(&path)), "from the cache");
    }
    for path in [wallet(84, 2, 0), wallet(44, 0, 0), lightning(10, 0), lightning(0, 1 << 31)] {
        assert_eq!(accounts.public_key(&path), Err(UnknownKey(path)));
    }
}
