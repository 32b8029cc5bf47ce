//! Claims about shared streams: whoever asks for what in which order, the chunks are the file.

use std::io::Write;
use std::sync::Barrier;

use memchr::memrchr;
use proptest::prelude::*;

use super::*;
use crate::cancel::CancelToken;
use crate::error::Code;
use crate::io::{Compression, open_counted_stream};
use crate::memory::Budget;
use crate::store::Store;

struct LineCutter;

impl Cutter for LineCutter {
    fn whole(&mut self, bytes: &[u8], searched: usize) -> Result<usize> {
        Ok(memrchr(b'\n', &bytes[searched..]).map_or(0, |end| searched + end + 1))
    }

    fn longest(&self) -> usize {
        8 << 20
    }

    fn too_long(&self) -> Error {
        Error::new(Code::InvalidData, "a line is too long")
    }
}

struct File {
    folder: tempfile::TempDir,
    text: Vec<u8>,
    size: u64,
}

impl File {
    fn new(text: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let bytes = encoder.finish().unwrap();
        std::fs::write(folder.path().join("x.gz"), &bytes).unwrap();
        File { folder, text, size: bytes.len() as u64 }
    }

    fn path(&self) -> String {
        self.folder.path().join("x.gz").to_str().unwrap().to_owned()
    }

    fn begin(&self, skip: u64) -> Begin {
        let path = self.path();
        Box::new(move || {
            let stream = open_counted_stream(&path.as_str().into(), Compression::Gzip)?;
            Ok(Beginning { stream, skip, cutter: Box::new(LineCutter) })
        })
    }

    fn stream(&self, share: u64, context: &Arc<QueryContext>) -> Arc<SharedStream> {
        Arc::new(SharedStream::with_share(&self.path(), self.size, share, b'\n', context))
    }
}

fn context(memory: usize) -> Arc<QueryContext> {
    let budget = Budget::new(memory);
    let store = Store::new(budget.clone());
    Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size: 1024, threads: 4, side: None })
}

/// Lines of digits that hardly compress.
fn noise(lines: usize, longest: usize) -> Vec<u8> {
    let (mut text, mut state) = (Vec::new(), 1_u64);
    for _ in 0..lines {
        for _ in 0..state as usize % longest {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(b'!' + (state >> 33) as u8 % 90);
        }
        text.push(b'\n');
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 7;
    }
    text
}

/// All chunks of one split, with their places checked.
fn all_of(reader: &ChunkReader, file: &File, skip: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next().unwrap() {
        assert!(chunk.at_end || chunk.ends_with(b"\n"));
        let start = chunk.offset as usize;
        assert!(start >= skip && file.text[start..].starts_with(&chunk));
        assert_eq!(chunk.lines, memchr_iter(b'\n', &file.text[..start]).count() as u64);
        assert_eq!(chunk.at_end, start + chunk.len() == file.text.len());
        all.extend_from_slice(&chunk);
    }
    all
}

#[test]
fn large_files_are_shared_only_where_no_others_keep_the_workers_busy() {
    const MB: u64 = 1 << 20;
    assert_eq!(shares(&[10 * MB], 2), [Some(40)]);
    assert_eq!(shares(&[10 * MB], 1), [None]);
    assert_eq!(shares(&[MB / 2], 2), [None]);
    assert_eq!(shares(&[10 * MB; 3], 2), [None, None, Some(40)]);
    assert_eq!(shares(&[MB, 50 * MB, MB], 2), [None, Some(200), Some(4)]);
}

#[test]
fn splits_read_in_any_order_are_the_file() {
    let file = File::new(noise(40_000, 60));
    let context = context(64 << 20);
    for skip in [0, 1_000] {
        let stream = file.stream(100_000, &context);
        let count = stream.splits;
        assert!(count > 5);
        let mut parts = vec![Vec::new(); count];
        for split in (0..count).rev() {
            parts[split] = all_of(&stream.reader(split, file.begin(skip)), &file, skip as usize);
        }
        assert_eq!(parts.concat(), file.text[skip as usize..]);
        assert!(parts.iter().filter(|part| !part.is_empty()).count() > 5);
    }
    assert_eq!(context.budget.used(), 0);
}

#[test]
fn many_workers_share_one_stream() {
    let file = File::new(noise(60_000, 60));
    let context = context(64 << 20);
    let stream = file.stream(50_000, &context);
    let workers = 4;
    let barrier = Barrier::new(workers);
    let mut parts: Vec<(usize, Vec<u8>)> = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let (stream, file, barrier) = (&stream, &file, &barrier);
            move || {
                barrier.wait();
                let splits = (worker..stream.splits).step_by(workers);
                splits.map(|split| (split, all_of(&stream.reader(split, file.begin(0)), file, 0))).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(work(worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    parts.sort();
    let whole: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).collect();
    assert!(whole == file.text);
}

#[test]
fn what_waits_for_its_split_goes_to_disk_when_memory_is_short() {
    let file = File::new(noise(400_000, 60));
    let context = context(4 << 20);
    let stream = file.stream(200_000, &context);
    let last = stream.splits - 1;
    let mut parts = vec![Vec::new(); stream.splits];
    parts[last] = all_of(&stream.reader(last, file.begin(0)), &file, 0);
    assert!(context.store.metrics().spilled_bytes > 4 << 20);
    for (split, part) in parts.iter_mut().enumerate().take(last) {
        *part = all_of(&stream.reader(split, file.begin(0)), &file, 0);
    }
    assert!(parts.concat() == file.text);
}

#[test]
fn nothing_waits_for_a_split_that_is_given_up() {
    let file = File::new(noise(40_000, 60));
    let context = context(64 << 20);
    let stream = file.stream(100_000, &context);
    for split in 0..stream.splits - 1 {
        let reader = stream.reader(split, file.begin(0));
        assert_eq!(split == 0, split == 0 && reader.next().unwrap().is_some());
    }
    let last = stream.reader(stream.splits - 1, file.begin(0));
    while last.next().unwrap().is_some() {
        assert!(context.budget.used() < 5 << 20);
    }
    assert_eq!(context.store.metrics().spilled_bytes, 0);
}

#[test]
fn a_line_longer_than_chunks_comes_whole_and_one_that_is_too_long_is_an_error() {
    for (length, is_good) in [(6 << 20, true), (9 << 20, false)] {
        let text = [&b"first\n"[..], &vec![b'x'; length], b"\nlast"].concat();
        let file = File::new(text);
        let stream = file.stream(1_000, &context(256 << 20));
        let mut all = Vec::new();
        let mut failed = None;
        for split in 0..stream.splits {
            let reader = stream.reader(split, file.begin(0));
            loop {
                match reader.next() {
                    Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error.to_string());
                        break;
                    }
                }
            }
        }
        match is_good {
            true => assert!(failed.is_none() && all == file.text),
            false => {
                let failed = failed.unwrap();
                assert!(failed.contains("too long") && failed.contains("line 2 of file") && failed.contains("x.gz"));
            }
        }
    }
}

#[test]
fn a_cut_stream_fails_for_every_split_behind_the_cut() {
    let file = File::new(noise(40_000, 60));
    let bytes = std::fs::read(file.path()).unwrap();
    let context = context(64 << 20);
    std::fs::write(file.path(), &bytes[..bytes.len() / 2]).unwrap();
    let stream = file.stream(100_000, &context);
    let first = stream.reader(0, file.begin(0)).next().unwrap();
    assert!(first.is_some());
    for split in [stream.splits - 1, stream.splits - 2] {
        let error = stream.reader(split, file.begin(0)).next().err().unwrap();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains("x.gz") && error.message().contains("byte"), "{error}");
    }
    context.cancel.cancel();
    assert_eq!(stream.reader(1, file.begin(0)).next().err().unwrap().code(), Code::Cancelled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_share_and_any_order_give_the_file(
        lines in 0usize..3_000,
        longest in 1usize..90,
        share in 100u64..20_000,
        order in any::<u64>(),
    ) {
        let file = File::new(noise(lines, longest));
        let stream = file.stream(share, &context(64 << 20));
        let mut splits: Vec<usize> = (0..stream.splits).collect();
        splits.sort_by_key(|split| (*split as u64 + 1).wrapping_mul(order | 1));
        let mut parts = vec![Vec::new(); stream.splits];
        for split in splits {
            parts[split] = all_of(&stream.reader(split, file.begin(0)), &file, 0);
        }
        prop_assert!(parts.concat() == file.text);
    }
}
