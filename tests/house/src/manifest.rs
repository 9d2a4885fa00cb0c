//! What the Cargo.toml files say.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::tree::Tree;

/// One crate of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Folder, without a last slash.
    pub folder: String,
    /// Package name.
    pub name: String,
    /// Packages it depends on, of this workspace or not, for whatever target and purpose.
    pub depends_on: BTreeSet<String>,
    /// Names of its binaries.
    pub binaries: BTreeSet<String>,
    /// It takes the workspace's lints.
    pub workspace_lints: bool,
}

/// The crates of the workspace, or what cannot be read.
pub fn members(tree: &Tree) -> Result<Vec<Member>, String> {
    let root = manifest(tree, "Cargo.toml")?;
    let workspace = table(&root, "workspace").ok_or("Cargo.toml: no [workspace]")?;
    let shared = table(workspace, "dependencies").cloned().unwrap_or_default();
    let folders =
        workspace.get("members").and_then(Value::as_array).ok_or("Cargo.toml: no workspace.members")?;
    let folders: Option<Vec<&str>> = folders.iter().map(Value::as_str).collect();
    let folders = folders.ok_or("Cargo.toml: a member that is no text")?;
    let mut names = BTreeMap::new();
    for folder in &folders {
        names.insert(*folder, package_name(&manifest(tree, &format!("{folder}/Cargo.toml"))?, folder)?);
    }
    folders.iter().map(|folder| member(tree, folder, &shared, &names)).collect()
}

fn member(
    tree: &Tree,
    folder: &str,
    shared: &Table,
    names: &BTreeMap<&str, String>,
) -> Result<Member, String> {
    let manifest = manifest(tree, &format!("{folder}/Cargo.toml"))?;
    let name = names[folder].clone();
    let mut depends_on = BTreeSet::new();
    let mut sections = vec![&manifest];
    sections
        .extend(table(&manifest, "target").into_iter().flatten().filter_map(|(_, target)| target.as_table()));
    for section in sections {
        // Development dependencies count: a room must not know through its tests what it may not know itself.
        for purpose in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, spec) in table(section, purpose).into_iter().flatten() {
                depends_on.insert(package_of(key, spec, folder, shared, names)?);
            }
        }
    }
    let mut binaries = BTreeSet::new();
    for bin in manifest.get("bin").and_then(Value::as_array).into_iter().flatten() {
        let bin =
            bin.get("name").and_then(Value::as_str).ok_or(format!("{folder}: a [[bin]] without a name"))?;
        binaries.insert(bin.to_owned());
    }
    let has = |path: &str| tree.files.contains_key(&format!("{folder}/{path}"));
    if has("src/main.rs") && !named_by_path(&manifest) {
        binaries.insert(name.clone());
    }
    let workspace_lints =
        table(&manifest, "lints").is_some_and(|lints| lints.get("workspace") == Some(&Value::Boolean(true)));
    Ok(Member { folder: folder.to_owned(), name, depends_on, binaries, workspace_lints })
}

/// Whether some `[[bin]]` takes `src/main.rs` under a name of its own.
fn named_by_path(manifest: &Table) -> bool {
    let bins = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    bins.filter_map(|bin| bin.get("path")).any(|path| path.as_str() == Some("src/main.rs"))
}

/// The package behind a dependency's key: renamed, inherited from the workspace, or named by its folder.
fn package_of(
    key: &str,
    spec: &Value,
    folder: &str,
    shared: &Table,
    names: &BTreeMap<&str, String>,
) -> Result<String, String> {
    if spec.get("workspace") == Some(&Value::Boolean(true)) {
        let inherited = shared.get(key).ok_or(format!("{folder}: {key} is not in workspace.dependencies"))?;
        return package_of(key, inherited, "", shared, names);
    }
    if let Some(path) = spec.get("path").and_then(Value::as_str) {
        let path = normal(folder, path);
        let unknown = || format!("{folder}: {key} is at {path}, which is no member");
        return names.get(path.as_str()).cloned().ok_or_else(unknown);
    }
    Ok(spec.get("package").and_then(Value::as_str).unwrap_or(key).to_owned())
}

/// `path` as seen from `folder`, from the root.
fn normal(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn manifest(tree: &Tree, path: &str) -> Result<Table, String> {
    let file = tree.files.get(path).ok_or(format!("{path} is missing"))?;
    file.text.parse().map_err(|error| format!("{path}: {error}"))
}

fn table<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    table.get(key).and_then(Value::as_table)
}

fn package_name(manifest: &Table, folder: &str) -> Result<String, String> {
    let name = table(manifest, "package").and_then(|package| package.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).ok_or(format!("{folder}/Cargo.toml: no package.name"))
}
