//! Firmware before judges that share no code with this project.
//!
//! [`images`]: binutils and gdb read every image and disassemble it as listed. [`handlers`]: every generated
//! handler, as machine code, is called on random states in our emulator, in QEMU and in `rsemu`, and leaves the
//! same memory behind.
//!
//! A test whose tool is not installed is skipped with a note; with `NIRC_ORACLES=required` it fails.

mod bench;
mod case;
mod emulator;
mod handlers;
mod images;
mod numbers;
mod programs;
mod qemu;
mod rsemu;
