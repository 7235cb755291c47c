//! nirc-emulator
