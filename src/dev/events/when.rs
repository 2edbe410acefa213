//! When: points in time as people, logs and Elasticsearch write them; all of it in UTC, in milliseconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const SECOND_MS: i64 = 1000;
pub(super) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Times are kept within the years that have four digits.
const MS_MIN: i64 = -62_135_596_800_000;
const MS_MAX: i64 = 253_402_300_799_999;

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
}

/// A span that a time is rounded to or moved by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

/// The time now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(MS_MAX)
}

/// The date of a time (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(super) fn date(ms: i64) -> Date {
    let days = ms.clamp(MS_MIN, MS_MAX).div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Date { year: year + era * 400 + i64::from(month <= 2), month, day }
}

/// The first moment of a date; months beyond 12 count on into the next year.
pub(super) fn start_ms(date: Date) -> i64 {
    let year = date.year + (date.month - 1).div_euclid(12);
    let month = (date.month - 1).rem_euclid(12) + 1;
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + date.day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + days - 719_468) * DAY_MS
}

/// Writes a time as `2026-11-22T07:46:09.123Z`.
pub(crate) fn text(ms: i64) -> String {
    let Date { year, month, day } = date(ms);
    let of_day = ms.rem_euclid(DAY_MS);
    let (hour, minute) = (of_day / HOUR_MS, of_day / MINUTE_MS % 60);
    let (second, milli) = (of_day / SECOND_MS % 60, of_day % SECOND_MS);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

impl Unit {
    /// The letter that date math has for it.
    pub(super) fn of_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'y' => Self::Year,
            'q' => Self::Quarter,
            'M' => Self::Month,
            'w' => Self::Week,
            'd' => Self::Day,
            'h' | 'H' => Self::Hour,
            'm' => Self::Minute,
            's' => Self::Second,
            _ => return None,
        })
    }

    /// How long it is, for those that are always as long.
    pub(super) fn ms(self) -> Option<i64> {
        match self {
            Self::Week => Some(7 * DAY_MS),
            Self::Day => Some(DAY_MS),
            Self::Hour => Some(HOUR_MS),
            Self::Minute => Some(MINUTE_MS),
            Self::Second => Some(SECOND_MS),
            Self::Year | Self::Quarter | Self::Month => None,
        }
    }

    /// The moment at which the span around `ms` began; weeks begin on Monday.
    pub(super) fn floor(self, ms: i64) -> i64 {
        let ms = ms.clamp(MS_MIN, MS_MAX);
        let at = date(ms);
        match self {
            Self::Year => start_ms(Date { month: 1, day: 1, ..at }),
            Self::Quarter => start_ms(Date { month: (at.month - 1) / 3 * 3 + 1, day: 1, ..at }),
            Self::Month => start_ms(Date { day: 1, ..at }),
            // 1970 began on a Thursday.
            Self::Week => (ms + 3 * DAY_MS).div_euclid(7 * DAY_MS) * 7 * DAY_MS - 3 * DAY_MS,
            Self::Day | Self::Hour | Self::Minute | Self::Second => {
                let length = self.ms().expect("a day and less is always as long");
                ms.div_euclid(length) * length
            }
        }
    }

    /// Moves a time by `count` spans.
    pub(super) fn add(self, ms: i64, count: i64) -> Option<i64> {
        let months = match self {
            Self::Year => 12,
            Self::Quarter => 3,
            Self::Month => 1,
            _ => {
                let moved = ms.checked_add(self.ms()?.checked_mul(count)?)?;
                return (MS_MIN..=MS_MAX).contains(&moved).then_some(moved);
            }
        };
        let at = date(ms);
        let month = at.month.checked_add(count.checked_mul(months)?)?;
        if month.abs() > 12 * 10_000 {
            return None;
        }
        let first = start_ms(Date { month, day: 1, ..at });
        let length = (start_ms(Date { month: month + 1, day: 1, ..at }) - first) / DAY_MS;
        let moved = first + (at.day.min(length) - 1) * DAY_MS + ms.rem_euclid(DAY_MS);
        (MS_MIN..=MS_MAX).contains(&moved).then_some(moved)
    }
}

/// Reads an ISO date: `2026-11-22`, `2026-11-22T07:46:09.123Z`, `…+02:00`; without a zone it is UTC.
pub(super) fn read_iso(text: &str) -> Option<i64> {
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let mut parts = day.split('-');
    let (year, month, of_month) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || of_month.len() != 2 {
        return None;
    }
    let wanted = Date { year: digits(year)?, month: digits(month)?, day: digits(of_month)? };
    let start = start_ms(wanted);
    if wanted.year < 1 || !(1..=12).contains(&wanted.month) || date(start) != wanted {
        return None;
    }
    match time {
        None => Some(start),
        Some(time) => Some(start + read_time(time)?),
    }
}

/// Reads a time of day with its zone, as milliseconds that are to be added to the day's start.
fn read_time(text: &str) -> Option<i64> {
    let (clock, offset_ms) = if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        (clock, 0)
    } else if let Some(at) = text.rfind(['+', '-']) {
        let sign = if text[at..].starts_with('-') { -1 } else { 1 };
        let zone = text[at + 1..].replace(':', "");
        let (hours, minutes) = zone.split_at_checked(2)?;
        let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
        (&text[..at], sign * (digits(hours)? * HOUR_MS + minutes * MINUTE_MS))
    } else {
        (text, 0)
    };
    let (clock, milli) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => {
            digits(fraction)?;
            let three: String = fraction.chars().chain("00".chars()).take(3).collect();
            (clock, digits(&three)?)
        }
        None => (clock, 0),
    };
    let mut parts = clock.split(':').map(|part| digits(part).filter(|_| part.len() == 2));
    let hour = parts.next()??;
    let minute = parts.next().unwrap_or(Some(0))?;
    let second = parts.next().unwrap_or(Some(0))?;
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 61;
    fits.then_some(hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + milli - offset_ms)
}

/// Reads a whole number without a sign that fits every calculation here.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Reads what a person asks for: `90s`, `5m`, `2h`, `7d` ago, or an ISO date.
pub(crate) fn read_since(text: &str, now_ms: i64) -> Option<i64> {
    if let Some(ms) = read_iso(text) {
        return Some(ms);
    }
    let unit =
        text.chars().last().filter(|letter| matches!(letter, 's' | 'm' | 'h' | 'd' | 'w'))?;
    let count = digits(&text[..text.len() - 1])?;
    Unit::of_letter(unit)?.add(now_ms, -count)
}

/// Reads Elasticsearch's date math: `now-1d/d`, `2026-11-22||+1M/M`. What is rounded goes up where `is_up`.
pub(super) fn read_math(text: &str, now_ms: i64, is_up: bool) -> Option<i64> {
    let (mut ms, mut rest) = if let Some(rest) = text.strip_prefix("now") {
        (now_ms, rest)
    } else if let Some((anchor, rest)) = text.split_once("||") {
        (read_iso(anchor)?, rest)
    } else {
        return read_iso(text).or_else(|| text.parse().ok());
    };
    while let Some(sign) = rest.chars().next() {
        rest = &rest[sign.len_utf8()..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(length);
        let unit = Unit::of_letter(after.chars().next()?)?;
        rest = &after[1..];
        ms = match sign {
            '/' if number.is_empty() && is_up => unit.add(unit.floor(ms), 1)? - 1,
            '/' if number.is_empty() => unit.floor(ms),
            '+' | '-' => {
                let count = if number.is_empty() { 1 } else { digits(number)? };
                unit.add(ms, if sign == '-' { -count } else { count })?
            }
            _ => return None,
        };
    }
    Some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_795_292_505_535;

    #[test]
    fn a_time_is_written_and_read_back() {
        for ms in [0, AT, -1, 951_782_400_000, 4_102_444_799_999] {
            assert_eq!(read_iso(&text(ms)), Some(ms), "{}", text(ms));
        }
        assert_eq!(text(AT), "2026-11-21T20:21:45.535Z");
        assert_eq!(read_iso("2026-11-21T22:21:45.535+02:00"), Some(AT));
        for bad in
            ["2026-02-30", "2026-1-1", "26-01-01", "2026-01-01T25:00", "", "now", "2026-01-01T"]
        {
            assert_eq!(read_iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn date_math_moves_and_rounds() {
        let at = |math: &str| text(read_math(math, AT, false).unwrap());
        assert_eq!(at("now/d"), "2026-11-21T00:00:00.000Z");
        assert_eq!(at("now-1d/d"), "2026-11-20T00:00:00.000Z");
        assert_eq!(at("now/w"), "2026-11-16T00:00:00.000Z");
        assert_eq!(at("2026-01-31||+1M"), "2026-02-28T00:00:00.000Z");
        assert_eq!(at("2026-05-31||/y"), "2026-01-01T00:00:00.000Z");
        assert_eq!(text(read_math("now/h", AT, true).unwrap()), "2026-11-21T20:59:59.999Z");
        for bad in ["now-", "now/5d", "now*1d", "now-99999999999d", "now-999999999y", "nowd"] {
            assert_eq!(read_math(bad, AT, false), None, "{bad}");
        }
    }

    #[test]
    fn a_person_says_how_long_ago_or_when() {
        assert_eq!(read_since("5m", AT), Some(AT - 5 * MINUTE_MS));
        assert_eq!(read_since("2026-11-21", AT), read_iso("2026-11-21"));
        assert_eq!(read_since("5", AT), None);
        assert_eq!(read_since("ö", AT), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_as_a_time_has_an_answer(text in ".{0,20}", ms in proptest::prelude::any::<i64>()) {
            let _ = (read_math(&text, AT, true), read_math(&format!("now{text}"), AT, false));
            let _ = (read_since(&text, AT), text_of(ms));
        }
    }

    fn text_of(ms: i64) -> String {
        text(ms)
    }
}
