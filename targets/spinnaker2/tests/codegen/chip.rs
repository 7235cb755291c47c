//! Whole networks on an emulated chip, beside the interpreter.
