//! How the allocator is set up, before it gives out its first byte.
//!
//! One arena for each processor: with the default four, much of a small limit lies in arenas of threads that are idle.
//! Only small objects are kept ready for each thread, and no allocation gets a page more for the sake of cache lines:
//! most are columns of some 8 to 64 kilobytes, of which that would be a good part. What is larger than 8 MiB (hash tables,
//! blocks of objects) may be used again as the rest is, instead of being given back to the system whenever it is freed.

use std::ffi::c_char;
use std::sync::atomic::AtomicPtr;

macro_rules! settings {
    ($arenas:literal) => {
        concat!($arenas, ",tcache_max:4096,cache_oblivious:false,oversize_threshold:0\0").as_ptr().cast::<c_char>()
    };
}

// SAFETY: jemalloc reads this symbol, a pointer to a C string, when it starts; nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: AtomicPtr<c_char> = AtomicPtr::new(settings!("percpu_arena:percpu").cast_mut());

/// A process that may use only some of the processors (`taskset`, a container with a set of them) can have no arena for
/// each: their numbers have gaps. jemalloc would say so on standard error and make four times as many.
#[cfg(target_os = "linux")]
mod some_processors {
    use std::mem;
    use std::sync::atomic::Ordering;

    use super::*;

    // SAFETY: the loader calls what this section holds, before the constructors that have no number, with C's convention.
    #[unsafe(link_section = ".init_array.00099")]
    #[used]
    static CHOOSE: extern "C" fn() = choose;

    /// Nothing here allocates.
    extern "C" fn choose() {
        // SAFETY: a set of processors is plain bits; both calls only fill what they are given.
        let (all, ours) = unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            if libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &mut set) != 0 {
                return;
            }
            (libc::sysconf(libc::_SC_NPROCESSORS_CONF), libc::CPU_COUNT(&set))
        };
        if all == libc::c_long::from(ours) {
            return;
        }
        let settings = match ours {
            ..=1 => settings!("narenas:1"),
            2 => settings!("narenas:2"),
            3..=4 => settings!("narenas:4"),
            5..=8 => settings!("narenas:8"),
            9..=16 => settings!("narenas:16"),
            17..=32 => settings!("narenas:32"),
            _ => settings!("narenas:64"),
        };
        SETTINGS.store(settings.cast_mut(), Ordering::Relaxed);
    }
}
