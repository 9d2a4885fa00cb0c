//! ATTACKS.md has the code's table, word for word.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::table::{self, End};

/// The tables as ATTACKS.md has them.
fn rendered() -> Result<String> {
    let mut text = String::new();
    for (group, rows) in table::groups() {
        writeln!(
            text,
            "\n## {group}\n\n| attack | tier | refused or bounded by | end | what the attacker does |\n|-|-|-|-|-|"
        )?;
        for row in rows {
            let tags: Vec<_> = row.tag.split(", ").map(|tag| format!("`{tag}`")).collect();
            let end = match row.end {
                End::Closed => "closed".to_owned(),
                End::Bounded(by) => format!("bounded by {by}"),
                End::NotEnforceable(loss) => format!("**not enforceable**; at stake: {loss}"),
            };
            writeln!(text, "| `{}` | {} | {} | {end} | {} |", row.name, row.tier, tags.join(", "), row.line)?;
        }
    }
    Ok(text)
}

#[test]
fn attacks_md_is_the_table() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ATTACKS.md");
    let document = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let (_, tables) = document.split_once("\n## ").context("ATTACKS.md has no table")?;
    let rendered = rendered()?;
    let expected = rendered.trim_start_matches("\n## ").trim_end();
    if tables.trim_end() != expected {
        let written = std::env::temp_dir().join("ATTACKS-tables.md");
        std::fs::write(&written, &rendered)?;
        let differs = tables.lines().zip(expected.lines()).find(|(a, b)| a != b);
        anyhow::bail!(
            "ATTACKS.md differs from the code's table ({differs:?}); the code's is in {}",
            written.display()
        );
    }
    Ok(())
}

#[test]
fn every_attack_has_a_name_of_its_own() -> Result<()> {
    let rules: Vec<&str> = include_str!("../../../POLICY.md")
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.split_once('`'))
        .map(|(tag, _)| tag)
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for row in table::groups().iter().flat_map(|(_, rows)| rows.iter()) {
        ensure!(names.insert(row.name), "{} stands twice", row.name);
        for tag in row
            .tag
            .split(", ")
            .filter(|tag| !["malformed", "none"].contains(tag) && !tag.starts_with("policy-"))
        {
            ensure!(rules.contains(&tag), "{}: POLICY.md has no rule {tag}", row.name);
        }
    }
    ensure!(names.len() >= 60, "only {} attacks", names.len());
    Ok(())
}
