//! Puts a token's head file back after SoftHSM was killed while it wrote it.
//!
//! SoftHSM rewrites `token.object` at every login by cutting it to nothing and writing it
//! again. A process killed in between (kill -9, power) leaves an empty file, and with it a token
//! that no PIN opens. What the file holds changes only with the PINs, so a copy serves.

use std::fs;
use std::path::Path;

use crate::layout::Layout;
use crate::{SetupError, at};

const HEAD: &str = "token.object";

/// Keeps a copy of every token's head file.
pub(crate) fn back_up(layout: &Layout) -> Result<(), SetupError> {
    for_each_token(layout, |head, copy| {
        fs::copy(head, copy).map_err(at(copy))?;
        Ok(false)
    })
    .map(drop)
}

/// Restores the head file of every token in `dir` whose own is empty; returns how many were.
/// No process may have the token open.
///
/// # Errors
/// [`SetupError::Io`] naming the file.
pub fn repair(dir: &Path) -> Result<usize, SetupError> {
    let layout = Layout::new(dir)?;
    for_each_token(&layout, |head, copy| {
        if fs::metadata(head).map_err(at(head))?.len() > 0 {
            return Ok(false);
        }
        let part = head.with_extension("part");
        fs::copy(copy, &part).map_err(at(copy))?;
        fs::rename(&part, head).map_err(at(head))?;
        Ok(true)
    })
}

fn for_each_token(
    layout: &Layout,
    mut visit: impl FnMut(&Path, &Path) -> Result<bool, SetupError>,
) -> Result<usize, SetupError> {
    let mut count = 0;
    let tokens = layout.tokens();
    for entry in fs::read_dir(&tokens).map_err(at(&tokens))? {
        let token = entry.map_err(at(&tokens))?;
        let head = token.path().join(HEAD);
        let copy = layout.backup().join(token.file_name()).with_extension(HEAD);
        if head.exists() && visit(&head, &copy)? {
            count += 1;
        }
    }
    Ok(count)
}
