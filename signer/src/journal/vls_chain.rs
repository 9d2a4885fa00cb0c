//! VLS's own view of the chain, fed with the blocks that the journal has taken in.

use std::sync::Arc;

use strongroom_lightning::Vls;
use strongroom_lightning::vls::{ChainError, Taught};

use super::effects::put_taught;
use super::thread::Keeper;
use crate::chain::{CheckedBlock, Funding, Undone};
use crate::store::Batch;

/// What the journal took in.
pub(super) enum Step {
    /// The block above the tip.
    Connect(Arc<CheckedBlock>),
    /// Blocks undone, tip first, and those that took their place, oldest first.
    Reorganise(Vec<Option<Arc<CheckedBlock>>>, Vec<Arc<CheckedBlock>>),
}

impl Step {
    /// A reorganisation.
    pub(super) fn reorganise(undone: &[Undone], blocks: &[Arc<CheckedBlock>]) -> Self {
        Self::Reorganise(undone.iter().map(|undone| undone.block.clone()).collect(), blocks.to_vec())
    }
}

impl Keeper {
    /// Hands a step of the chain to every node's VLS. What it cannot follow it forgets, and begins anew with the next
    /// block: policy says what an unknown chain still allows.
    pub(super) fn tell_vls(&mut self, step: &Step) {
        let mut batch = Batch::default();
        let view = self.onchain.view();
        for (node, books) in &mut self.books {
            let mut taught = match follow(&mut books.vls, step) {
                Ok(taught) => taught,
                Err(error) => {
                    tracing::warn!(%node, %error, "VLS does not follow the chain; it begins anew with the next block");
                    books.vls.forget_chain();
                    continue;
                }
            };
            for outpoint in books.vls.unknown_fundings() {
                if let Some(height) = view.and_then(|view| confirmed(view.funding(&outpoint))) {
                    taught.push(books.vls.confirmed(outpoint, height));
                }
            }
            taught.iter().for_each(|taught| put_taught(&mut batch, node, taught));
        }
        // Lost in a crash, it begins anew: nothing here is a decision.
        if let Err(error) = self.record_all([], batch) {
            tracing::warn!(%error, "VLS's view of the chain is not stored");
        }
    }
}

fn follow(vls: &mut Vls, step: &Step) -> Result<Vec<Taught>, ChainError> {
    let connect = |vls: &mut Vls, block: &CheckedBlock| vls.connect(block.block(), block.height());
    match step {
        Step::Connect(block) => Ok(vec![connect(vls, block)?]),
        Step::Reorganise(undone, blocks) => {
            let mut taught = Vec::new();
            for block in undone {
                let block = block.as_ref().ok_or(ChainError::TooDeep)?;
                taught.push(vls.disconnect(block.block())?);
            }
            for block in blocks {
                taught.push(connect(vls, block)?);
            }
            Ok(taught)
        }
    }
}

fn confirmed(funding: Funding) -> Option<u32> {
    match funding {
        Funding::Confirmed { height, .. } => Some(height),
        _ => None,
    }
}
