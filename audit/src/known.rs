//! Heads kept from earlier, which a journal must contain.

use crate::chain::Chain;
use crate::export::ExportError;
use crate::head::SignedHead;
use crate::header::Header;
use crate::key::AuditKey;

/// Earlier heads, in order of size, checked as the chain grows past them.
pub(crate) struct KnownHeads {
    waiting: std::vec::IntoIter<Chain>,
    pub(crate) checked: u64,
    pub(crate) unchecked: u64,
}

impl KnownHeads {
    /// Verifies the heads' own signatures, and sets those before the export's first leaf aside.
    pub(crate) fn new(heads: &[SignedHead], key: &AuditKey, header: &Header) -> Result<Self, ExportError> {
        let mut waiting = Vec::new();
        let mut unchecked = 0;
        for signed in heads {
            let head = signed.verify(key).map_err(ExportError::KnownHead)?;
            if head.origin != header.origin {
                return Err(ExportError::OtherOrigin {
                    found: head.origin.clone(),
                    expected: header.origin.clone(),
                });
            }
            if head.size < header.from {
                unchecked += 1;
            } else {
                waiting.push(head.chain());
            }
        }
        waiting.sort_by_key(|chain| chain.size);
        Ok(Self { waiting: waiting.into_iter(), checked: 0, unchecked })
    }

    /// To be called with every state of the chain.
    pub(crate) fn passed(&mut self, chain: Chain) -> Result<(), ExportError> {
        while let Some(known) = self.waiting.as_slice().first().filter(|known| known.size == chain.size) {
            if known.head != chain.head {
                return Err(ExportError::Rewritten { size: known.size, kept: known.head, found: chain.head });
            }
            self.waiting.next();
            self.checked += 1;
        }
        Ok(())
    }

    /// To be called with the last state of the chain.
    pub(crate) fn finish(&self, chain: Chain) -> Result<(), ExportError> {
        match self.waiting.as_slice().last() {
            Some(known) => Err(ExportError::RolledBack { kept: known.size, found: chain.size }),
            None => Ok(()),
        }
    }
}
