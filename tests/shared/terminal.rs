//! Pseudo-terminals.

use std::fs::File;
use std::os::fd::FromRawFd;

/// A terminal of `columns` columns: the side that a program gets, and the one that reads what it shows.
pub fn terminal(columns: u16) -> Option<(File, File)> {
    let (mut reader, mut program) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: the pointers are to live values or null, which the call allows for name and settings.
    let opened =
        unsafe { libc::openpty(&raw mut reader, &raw mut program, none, none.cast(), (&raw const size).cast_mut()) };
    if opened != 0 {
        eprintln!("skipped: there are no pseudo-terminals here");
        return None;
    }
    // SAFETY: both descriptors were just opened, and nobody else has them.
    Some(unsafe { (File::from_raw_fd(program), File::from_raw_fd(reader)) })
}
