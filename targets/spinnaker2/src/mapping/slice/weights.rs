//! Parts of tensors.

use std::ops::Range;

use nirc_ir::event::TensorDecl;

/// Which elements of a tensor a part has, in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elements {
    /// All.
    All,
    /// Some columns of some rows.
    Block {
        /// First row and the one after the last.
        rows: (usize, usize),
        /// First column and the one after the last.
        columns: (usize, usize),
    },
    /// One row of these, by their places in the whole.
    Listed(Vec<u32>),
}

impl Elements {
    /// Columns of rows of a tensor.
    pub(super) fn block(tensor: &TensorDecl, rows: &Range<usize>, columns: &Range<usize>) -> Self {
        if *rows == (0..tensor.rows) && *columns == (0..tensor.lanes) {
            return Self::All;
        }
        Self::Block {
            rows: (rows.start, rows.end),
            columns: (columns.start, columns.end),
        }
    }

    /// Where each element stands in the tensor.
    pub fn places(&self, tensor: &TensorDecl) -> Vec<usize> {
        match self {
            Self::All => (0..tensor.values.len()).collect(),
            Self::Block { rows, columns } => {
                let row = |row| (columns.0..columns.1).map(move |c| row * tensor.lanes + c);
                (rows.0..rows.1).flat_map(row).collect()
            }
            Self::Listed(places) => places.iter().map(|&place| place as usize).collect(),
        }
    }

    /// The part as a tensor of its own.
    pub(super) fn cut(&self, tensor: &TensorDecl) -> TensorDecl {
        let places = self.places(tensor);
        let (rows, lanes) = match self {
            Self::All => (tensor.rows, tensor.lanes),
            Self::Block { rows, columns } => (rows.1 - rows.0, columns.1 - columns.0),
            Self::Listed(_) => (1, places.len()),
        };
        TensorDecl {
            name: tensor.name.clone(),
            rows,
            lanes,
            values: places.iter().map(|&place| tensor.values[place]).collect(),
            trainable: tensor.trainable,
        }
    }

    /// What to add to the name of the whole.
    pub(super) fn suffix(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Block { rows, columns } => {
                format!("[{}..{}, {}..{}]", rows.0, rows.1, columns.0, columns.1)
            }
            Self::Listed(places) => {
                let first = places.first().copied().unwrap_or(0);
                let last = places.last().copied().unwrap_or(0);
                format!("[{first}..={last}]")
            }
        }
    }
}
