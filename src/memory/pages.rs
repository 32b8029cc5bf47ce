//! What the system is asked about pages: no huge ones under a small limit, and not to count those of code that has done
//! its work.
//!
//! Huge pages make large hash tables faster, but every allocation may then occupy up to two megabytes more than it
//! asked for: under a small limit that alone breaks the promise about the process (measured: 64 MiB of batches take
//! 100 MB with them and 77 MB without; at 1 GB the difference no longer matters).

/// Under this limit the program is better off without huge pages.
pub const HUGE_PAGES_FROM: u64 = 512 << 20;

/// Asks the system not to use huge pages for this process, from the next page fault on. Does nothing where there are
/// none.
pub fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: this option takes plain integers and touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

/// Lets go of the pages of the program file itself, code and constants, that have been touched so far: parsing and
/// planning leave some 40 MB of them behind, which count as resident although nobody needs them any more. Those that
/// are needed come back from the system's cache as they are touched. Does nothing where it is not known how.
pub fn forget_code() {
    #[cfg(target_os = "linux")]
    // SAFETY: the callback is of the type that is asked for, keeps no pointer and does not unwind.
    unsafe {
        libc::dl_iterate_phdr(Some(forget_segments), std::ptr::null_mut());
    }
}

/// Lets go of the segments of one loaded object that are only read; ends the walk with the first object, the program.
#[cfg(target_os = "linux")]
unsafe extern "C" fn forget_segments(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader gives a pointer to one object, valid during the call.
    let object = unsafe { &*object };
    if object.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: so many headers lie there, as the loader says.
    let segments = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    for segment in
        segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0)
    {
        let (start, length) = (object.dlpi_addr as usize + segment.p_vaddr as usize, segment.p_memsz as usize);
        let aligned = start.next_multiple_of(LARGEST_PAGE);
        let end = (start + length) / LARGEST_PAGE * LARGEST_PAGE;
        if aligned < end {
            // SAFETY: the range lies within a mapping of the program file that was never writable (what the loader
            // relocates lies in segments that are), so dropped pages are read again with the same content.
            unsafe { libc::madvise(aligned as *mut libc::c_void, end - aligned, libc::MADV_DONTNEED) };
        }
    }
    1
}

/// No system has larger pages, but for huge ones.
#[cfg(target_os = "linux")]
const LARGEST_PAGE: usize = 64 << 10;
