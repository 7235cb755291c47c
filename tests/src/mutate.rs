//! Garbled `.nir` files: changes to bytes, as a disk or a hostile hand makes them, and to the graph, as a
//! careless exporter does. The fuzz targets and the tests draw from the same.

use nir_rs::TensorData;
use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{read_bytes, to_bytes};

use crate::rng::Rng;

/// A garbled version of `bytes`: one to three changes of the graph that it holds, or one to eight of its
/// bytes, some of which splice in a piece of `donor`.
pub fn mutated(bytes: &[u8], donor: &[u8], rng: &mut Rng) -> Vec<u8> {
    if rng.below(2) == 0
        && let Some(bytes) = with_other_graph(bytes, rng)
    {
        return bytes;
    }
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + rng.below(8) {
        change_bytes(&mut bytes, donor, rng);
    }
    bytes
}

/// The same file with its graph changed, written by our own writer; `None` if it holds no graph.
pub fn with_other_graph(bytes: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let (file, _) = read_bytes(bytes.to_vec()).ok()?;
    let mut root = file.tree().clone();
    for _ in 0..1 + rng.below(3) {
        let mut countdown = rng.below(count(&root).max(1));
        root = changed(&root, &mut countdown, rng);
    }
    to_bytes(&root).ok()
}

// Bytes.

fn change_bytes(bytes: &mut Vec<u8>, donor: &[u8], rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = interesting(bytes, rng);
    match rng.below(12) {
        0 => bytes[at] = 0xff,
        1 => bytes[at] = 0,
        2..6 => bytes[at] ^= 1 << rng.below(8),
        6 => bytes[at] = rng.bits() as u8,
        7..9 => set_word(bytes, at, rng),
        9 => bytes.truncate(rng.below(bytes.len())),
        10 => splice(bytes, at, donor, rng),
        _ => {
            let from = bytes.clone();
            splice(bytes, at, &from, rng);
        }
    }
}

/// Most of a file is empty; what is not is where the structure lies.
fn interesting(bytes: &[u8], rng: &mut Rng) -> usize {
    let mut at = rng.below(bytes.len());
    for _ in 0..32 {
        if bytes[at] != 0 {
            break;
        }
        at = rng.below(bytes.len());
    }
    at
}

/// Sets a field of 2, 4 or 8 bytes, which may be an address, an extent or a count, to a bad value.
fn set_word(bytes: &mut [u8], at: usize, rng: &mut Rng) {
    let len = bytes.len() as u64;
    let size = *rng.pick(&[2, 4, 8]);
    let at = at / size * size;
    let value = *rng.pick(&[
        0,
        1,
        96,
        len - 1,
        len,
        len + 1,
        0xffff,
        1 << 16,
        1 << 31,
        u64::from(u32::MAX),
        1 << 40,
        1 << 62,
        u64::MAX - 1,
        u64::MAX,
    ]);
    if let Some(field) = bytes.get_mut(at..at + size) {
        field.copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// Copies a piece of `donor` over, or into, the bytes at `at`.
fn splice(bytes: &mut Vec<u8>, at: usize, donor: &[u8], rng: &mut Rng) {
    if donor.is_empty() {
        return;
    }
    let from = rng.below(donor.len());
    let len = (1 + rng.below(512)).min(donor.len() - from);
    let over = if rng.below(4) == 0 { 0 } else { len };
    let end = (at + over).min(bytes.len());
    bytes.splice(at..end, donor[from..from + len].iter().copied());
}

// The graph.

/// Number of objects below a group.
fn count(group: &Group) -> usize {
    let inner: usize = group.groups().map(|(_, g)| 1 + count(g)).sum();
    group.datasets().count() + inner
}

/// The group with one object below it changed: the one before which `countdown` others stand.
fn changed(group: &Group, countdown: &mut usize, rng: &mut Rng) -> Group {
    let mut new = Group::new();
    for (name, dataset) in group.datasets() {
        if is_next(countdown) {
            change_dataset(&mut new, name, dataset, rng);
        } else {
            new.insert(name, dataset.clone());
        }
    }
    for (name, inner) in group.groups() {
        if is_next(countdown) {
            change_group(&mut new, name, inner, rng);
        } else {
            new.insert(name, changed(inner, countdown, rng));
        }
    }
    new
}

/// Whether the object in hand is the one counted down to.
fn is_next(countdown: &mut usize) -> bool {
    let next = *countdown == 0;
    *countdown = countdown.wrapping_sub(1);
    next
}

const NAMES: [&str; 12] = [
    "input",
    "output",
    "weight",
    "bias",
    "tau",
    "v_reset",
    "w_in",
    "type",
    "nodes",
    "edges",
    "metadata",
    "Ünï cödé",
];

fn word(words: &[&'static str], rng: &mut Rng) -> &'static str {
    words[rng.below(words.len())]
}

fn change_group(parent: &mut Group, name: &str, group: &Group, rng: &mut Rng) {
    match rng.below(6) {
        0 => {}
        1 => parent.insert(word(&NAMES, rng), group.clone()),
        2 => {
            parent.insert(name, group.clone());
            parent.insert(&format!("{name}2"), group.clone());
        }
        3 => parent.insert(name, group.clone().with(word(&NAMES, rng), group.clone())),
        4 => parent.insert(name, Dataset::text(name)),
        _ => parent.insert(name, group.clone().with(word(&NAMES, rng), number(rng))),
    }
}

fn change_dataset(parent: &mut Group, name: &str, dataset: &Dataset, rng: &mut Rng) {
    let new = match rng.below(8) {
        0 => return,
        1 => {
            parent.insert(word(&NAMES, rng), dataset.clone());
            return;
        }
        2 => {
            parent.insert(name, Group::new().with(name, dataset.clone()));
            return;
        }
        3 => number(rng),
        _ => match dataset.texts_in_order() {
            Some(texts) => other_texts(dataset.shape(), texts, rng),
            None => other_numbers(dataset, rng),
        },
    };
    parent.insert(name, new);
}

/// A data set of one number in a few types and shapes.
fn number(rng: &mut Rng) -> Dataset {
    let value = float(rng);
    let made = match rng.below(4) {
        0 => Dataset::f64(&[], &[value]),
        1 => Dataset::f32(&[1], &[value as f32]),
        2 => Dataset::i64(&[], &[integer(rng)]),
        _ => Dataset::i64(&[2], &[integer(rng), integer(rng)]),
    };
    made.unwrap_or_else(|_| Dataset::text("number"))
}

fn float(rng: &mut Rng) -> f64 {
    *rng.pick(&[
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-3,
        1e30,
        1e308,
        5e-324,
    ])
}

fn integer(rng: &mut Rng) -> i64 {
    *rng.pick(&[
        0,
        1,
        2,
        3,
        -1,
        255,
        1 << 16,
        1 << 31,
        1 << 40,
        1 << 62,
        i64::MAX,
        i64::MIN,
    ])
}

const TEXTS: [&str; 26] = [
    "Input",
    "Output",
    "Affine",
    "Linear",
    "Scale",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Delay",
    "Threshold",
    "I",
    "LI",
    "LIF",
    "IF",
    "CubaLI",
    "CubaLIF",
    "NIRGraph",
    "same",
    "valid",
    "",
    "/",
    "a/b",
    "0.1.0",
    "é",
];

/// Rows doubled, left out, turned round; words replaced; another shape.
fn other_texts(shape: &[u64], mut texts: Vec<String>, rng: &mut Rng) -> Dataset {
    let mut shape = shape.to_vec();
    let row = shape.get(1).map_or(1, |n| *n as usize);
    match rng.below(6) {
        0 if texts.len() > row => {
            texts.truncate(texts.len() - row);
            shape[0] -= 1;
        }
        1 if !shape.is_empty() && texts.len() >= row => {
            let again = texts[..row].to_vec();
            texts.extend(again);
            shape[0] += 1;
        }
        2 => texts.reverse(),
        3 => shape = vec![texts.len() as u64],
        _ if !texts.is_empty() => {
            let at = rng.below(texts.len());
            texts[at] = if rng.below(2) == 0 {
                word(&TEXTS, rng).to_owned()
            } else {
                texts[rng.below(texts.len())].clone()
            };
        }
        _ => {}
    }
    Dataset::texts(&shape, texts).unwrap_or_else(|_| Dataset::text("texts"))
}

/// Bad values among the numbers, or another shape or type for them.
fn other_numbers(dataset: &Dataset, rng: &mut Rng) -> Dataset {
    let Ok(tensor) = dataset.tensor() else {
        return number(rng);
    };
    let shape = dataset.shape();
    let made = match tensor.data() {
        TensorData::I64(values) => {
            let mut values = values.clone();
            if let Some(value) = pick_mut(&mut values, rng) {
                *value = integer(rng);
            }
            let shape = other_shape(shape, &mut values, rng);
            Dataset::i64(&shape, &values)
        }
        data => {
            let mut values = floats(data);
            if let Some(value) = pick_mut(&mut values, rng) {
                *value = float(rng);
            }
            let shape = other_shape(shape, &mut values, rng);
            if rng.below(2) == 0 {
                Dataset::f64(&shape, &values)
            } else {
                let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
                Dataset::f32(&shape, &values)
            }
        }
    };
    made.unwrap_or_else(|_| number(rng))
}

fn floats(data: &TensorData) -> Vec<f64> {
    match data {
        TensorData::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        TensorData::F64(values) => values.clone(),
        TensorData::I64(values) => values.iter().map(|v| *v as f64).collect(),
        TensorData::Bool(values) => values.iter().map(|v| f64::from(u8::from(*v))).collect(),
    }
}

fn pick_mut<'a, T>(values: &'a mut [T], rng: &mut Rng) -> Option<&'a mut T> {
    let len = values.len();
    if len == 0 || rng.below(2) == 0 {
        return None;
    }
    values.get_mut(rng.below(len))
}

/// A shape for as many values, or for fewer or more of them, which are then cut or repeated.
fn other_shape<T: Copy>(shape: &[u64], values: &mut Vec<T>, rng: &mut Rng) -> Vec<u64> {
    let mut shape = shape.to_vec();
    match rng.below(8) {
        0 => shape.reverse(),
        1 => shape = vec![values.len() as u64],
        2 => shape.push(1),
        3 => shape.insert(0, 1),
        4 if values.len() == 1 => shape.clear(),
        5 => {
            values.truncate(1);
            shape = vec![1; shape.len()];
        }
        6 => {
            values.clear();
            shape = vec![0; shape.len().max(1)];
        }
        7 => {
            if let Some(outer) = shape.first_mut() {
                *outer += *outer;
                values.extend_from_within(..);
            }
        }
        _ => {}
    }
    shape
}
