//! Where everything of a replica lies in memory.
//!
//! A [`Space`] grows while handlers are compiled and ends as the image that a fresh arena starts from.
//! Arrays over lanes are padded to whole chunks. Padding lanes hold the same kind of values as real
//! ones, so they are computed along; they never spike and never enter a fold.

use std::collections::BTreeMap;

use nirc_ir::event::{CoefficientValue, Program, Tensor};

use crate::arena::LINE;
use crate::code::Addr;

/// Lanes of a process, or of the tensor that an optimiser process updates, and their padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Rows; 1 for anything but a tensor.
    pub(crate) rows: usize,
    /// Lanes of a row.
    pub(crate) lanes: usize,
    /// Elements from one row to the next.
    pub(crate) stride: usize,
    /// Elements with all padding, whole chunks.
    pub(crate) padded: usize,
    /// Elements that the vector machine takes at a time.
    pub(crate) width: Width,
}

/// Elements that the vector machine takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// For populations of at most four lanes, such as a few classes.
    Narrow = 4,
    /// A cache line.
    Wide = LINE as isize,
}

impl Width {
    fn of(lanes: usize) -> Self {
        if lanes <= Self::Narrow as usize {
            Self::Narrow
        } else {
            Self::Wide
        }
    }
}

impl Shape {
    /// Of a process with this many lanes, and of each row of its parameters.
    pub(crate) fn population(lanes: usize) -> Self {
        let width = Width::of(lanes);
        let stride = lanes.next_multiple_of(width as usize);
        Self {
            rows: 1,
            lanes,
            stride,
            padded: stride,
            width,
        }
    }

    /// Of a tensor, laid out as the process that reads it has it, and taken a line at a time.
    pub(crate) fn tensor(rows: usize, lanes: usize) -> Self {
        let row = Self::population(lanes);
        Self {
            rows,
            padded: (rows * row.stride).next_multiple_of(LINE),
            width: Width::Wide,
            ..row
        }
    }

    /// Number of real elements.
    pub(crate) fn count(&self) -> usize {
        self.rows * self.lanes
    }

    /// Where real element `i` lies.
    pub(crate) fn position(&self, i: usize) -> usize {
        if self.rows == 1 {
            i
        } else {
            i / self.lanes * self.stride + i % self.lanes
        }
    }

    /// Spreads `values` to their positions in `padded`.
    pub(crate) fn scatter(&self, values: &[f32], padded: &mut [f32]) {
        let rows = values.chunks(self.lanes);
        for (row, to) in rows.zip(padded.chunks_mut(self.stride)) {
            to[..row.len()].copy_from_slice(row);
        }
    }

    /// The real elements of `padded`.
    pub(crate) fn gather(&self, padded: &[f32]) -> Vec<f32> {
        let rows = padded.chunks(self.stride).take(self.rows);
        rows.flat_map(|row| &row[..self.lanes.min(row.len())])
            .copied()
            .collect()
    }
}

/// Offset and shape of each tensor in the weights that all replicas read.
pub(crate) struct Weights {
    places: Vec<(usize, Shape)>,
    image: Vec<f32>,
}

impl Weights {
    /// Lays out the tensors of a program.
    pub(crate) fn new(program: &Program) -> Self {
        let mut weights = Self {
            places: Vec::new(),
            image: Vec::new(),
        };
        for tensor in program.tensors.values() {
            let shape = Shape::tensor(tensor.rows, tensor.lanes);
            let base = weights.image.len();
            weights.image.resize(base + shape.padded, 0.0);
            shape.scatter(&tensor.values, &mut weights.image[base..]);
            weights.places.push((base, shape));
        }
        weights
    }

    /// Initial content.
    pub(crate) fn image(&self) -> &[f32] {
        &self.image
    }

    /// Where a tensor lies.
    pub(crate) fn place(&self, tensor: Tensor) -> (usize, Shape) {
        use nirc_ir::entity::Entity;
        self.places[tensor.index()]
    }
}

/// Memory under construction.
#[derive(Default)]
pub(crate) struct Space {
    image: Vec<f32>,
    /// The open line of scalars: next free element and its end.
    line: (usize, usize),
    constants: BTreeMap<u32, u32>,
    /// Constant arrays over lanes, by content.
    tables: BTreeMap<Vec<u32>, u32>,
    /// Arrays in which handlers find what was computed for them, by length and number.
    passed: BTreeMap<(usize, usize), u32>,
    scalar_temps: Vec<u32>,
    vector_temps: BTreeMap<usize, Vec<u32>>,
    /// Operands of a root.
    root: Option<u32>,
}

impl Space {
    /// Elements so far.
    pub(crate) fn len(&self) -> usize {
        self.image.len()
    }

    /// What a fresh arena holds.
    pub(crate) fn into_image(self) -> Vec<f32> {
        self.image
    }

    /// Reserves `len` elements from a line's start on.
    pub(crate) fn array(&mut self, len: usize, value: f32) -> u32 {
        let base = self.image.len();
        self.image.resize(base + len.next_multiple_of(LINE), value);
        offset(base)
    }

    /// Reserves one element.
    pub(crate) fn scalar(&mut self, value: f32) -> u32 {
        if self.line.0 == self.line.1 {
            let base = self.array(LINE, 0.0) as usize;
            self.line = (base, base + LINE);
        }
        let slot = self.line.0;
        self.line.0 += 1;
        self.image[slot] = value;
        offset(slot)
    }

    /// Starts a new line for scalars, so that later ones do not share a line with earlier ones.
    pub(crate) fn close_line(&mut self) {
        self.line = (0, 0);
    }

    /// A scalar with this value that nothing writes.
    pub(crate) fn constant(&mut self, value: f32) -> Addr {
        if let Some(slot) = self.constants.get(&value.to_bits()) {
            return Addr::fixed(*slot);
        }
        let slot = self.scalar(value);
        self.constants.insert(value.to_bits(), slot);
        Addr::fixed(slot)
    }

    /// A coefficient.
    pub(crate) fn coefficient(&mut self, shape: &Shape, value: &CoefficientValue) -> Addr {
        match value {
            CoefficientValue::Uniform(_) => self.constant(value.at(0)),
            CoefficientValue::PerLane(_) => self.table(shape, |lane| value.at(lane)),
        }
    }

    /// The index of each lane as a number.
    #[expect(clippy::cast_precision_loss, reason = "lanes are below 2^24")]
    pub(crate) fn lane_numbers(&mut self, shape: &Shape) -> Addr {
        self.table(shape, |lane| lane as f32)
    }

    /// A constant array; padding repeats lane 0, so that it is nothing special.
    pub(crate) fn table(&mut self, shape: &Shape, value: impl Fn(usize) -> f32) -> Addr {
        let mut content = vec![value(0); shape.padded];
        for i in 0..shape.count() {
            content[shape.position(i)] = value(i);
        }
        let key: Vec<u32> = content.iter().map(|x| x.to_bits()).collect();
        if let Some(base) = self.tables.get(&key) {
            return Addr::lanes(*base);
        }
        let base = self.array(content.len(), 0.0);
        self.image[base as usize..base as usize + content.len()].copy_from_slice(&content);
        self.tables.insert(key, base);
        Addr::lanes(base)
    }

    /// The `k`-th array of this length in which any handler finds what was computed for it.
    pub(crate) fn passed(&mut self, len: usize, k: usize) -> u32 {
        if let Some(base) = self.passed.get(&(len, k)) {
            return *base;
        }
        let base = self.array(len, 0.0);
        self.passed.insert((len, k), base);
        base
    }

    /// Five scalars for the operands of a root.
    pub(crate) fn root_operands(&mut self) -> u32 {
        let base = self.root.unwrap_or_else(|| self.array(LINE, 0.0));
        self.root = Some(base);
        base
    }

    /// The `k`-th scalar that any handler may use while it runs.
    pub(crate) fn scalar_temp(&mut self, k: usize) -> u32 {
        while self.scalar_temps.len() <= k {
            let slot = self.scalar(0.0);
            self.scalar_temps.push(slot);
        }
        self.scalar_temps[k]
    }

    /// The `k`-th array of this length that any handler may use while it runs.
    pub(crate) fn vector_temp(&mut self, len: usize, k: usize) -> u32 {
        while self.vector_temps.get(&len).map_or(0, Vec::len) <= k {
            let base = self.array(len, 0.0);
            self.vector_temps.entry(len).or_default().push(base);
        }
        self.vector_temps[&len][k]
    }
}

fn offset(base: usize) -> u32 {
    u32::try_from(base).unwrap_or(u32::MAX)
}
