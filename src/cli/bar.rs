//! How far a statement is, in one line.
//!
//! Invariant: the line is shorter than the terminal is wide.

use std::time::Duration;

use floe::session::Progress;

/// Characters of the bar.
const LEAST_BAR: usize = 10;
const LONGEST_BAR: usize = 40;

/// The line for a terminal of `width` columns: as much of it as fits.
pub fn line(progress: &Progress, width: usize) -> String {
    // Behind the last column some terminals begin a new line.
    let room = width.saturating_sub(1);
    let percent = format!("{:3}%", (progress.fraction * 100.0).floor());
    let elapsed = duration(progress.elapsed);
    let rest = progress.remaining().map_or(String::new(), |rest| format!(", {} left", duration(rest)));
    let facts = format!("{} rows, {elapsed}{rest}", thousands(progress.rows));
    let bar = room.saturating_sub(percent.len() + facts.len() + 4).min(LONGEST_BAR);
    if bar >= LEAST_BAR {
        let done = ((progress.fraction * bar as f64) as usize).min(bar);
        return format!("{percent} [{}{}] {facts}", "=".repeat(done), " ".repeat(bar - done));
    }
    let shorter = [format!("{percent} {facts}"), format!("{percent} {elapsed}{rest}"), percent];
    shorter.into_iter().find(|text| text.len() <= room).unwrap_or_default()
}

/// A number with a comma between thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(fraction: f64, rows: u64, seconds: u64) -> Progress {
        Progress { fraction, rows, elapsed: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_line_says_how_much_is_done_and_left() {
        let full = line(&at(0.5, 1_234_567, 3), 60);
        assert_eq!(full, " 50% [===========           ] 1,234,567 rows, 3 s, 3 s left");
        assert_eq!(line(&at(0.0, 0, 1), 80), format!("  0% [{}] 0 rows, 1 s", " ".repeat(LONGEST_BAR)));
        assert!(line(&at(0.999_999, 0, 7200), 200).starts_with(" 99% ["));
    }

    #[test]
    fn a_narrow_terminal_gets_less_of_it_and_never_two_lines() {
        let progress = at(0.25, 1_000_000, 4000);
        assert_eq!(line(&progress, 40), " 25% 1 h 6 min, 3 h 20 min left");
        assert_eq!(line(&progress, 10), " 25%");
        assert_eq!(line(&progress, 3), "");
        for width in 0..200 {
            assert!(line(&progress, width).len() < width.max(1), "{width}");
        }
    }

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(thousands), ["0", "12", "123", "1,234", "1,234,567"]);
        assert_eq!(
            [5, 65, 3700].map(|seconds| duration(Duration::from_secs(seconds))),
            ["5 s", "1 min 5 s", "1 h 1 min"]
        );
    }
}
