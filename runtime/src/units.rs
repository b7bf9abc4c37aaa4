//! Sizes, durations and rates as people write them: `64MiB`, `250ms`, `200/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `512`, `64KiB`, `10MiB` or `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) usize);

/// A span of time, written `250ms`, `10s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// How often something may happen, written `200/s` or `10/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How often, and how many at once after a pause.
    pub count: u32,
    /// Within this time.
    pub per: Duration,
}

/// A number of bytes a second, written `1MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow(pub(crate) usize);

const BYTE_UNITS: [(&str, usize); 5] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];
const TIME_UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let wrong = || format!("{text:?} is no size: write it like 512, 64KiB, 10MiB or 1GiB");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let bytes = usize::try_from(number).ok().and_then(|number| number.checked_mul(*factor));
        match bytes.ok_or_else(wrong)? {
            0 => Err("a limit of zero would refuse everything: write 1 or more".to_owned()),
            bytes => Ok(Bytes(bytes)),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong = || format!("{text:?} is no duration: write it like 250ms, 10s or 2m");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        match number.checked_mul(*factor) {
            Some(0) => {
                Err("a limit of zero would end everything at once: write 1ms or more".to_owned())
            }
            Some(millis) if millis <= LONGEST_MS => Ok(Span(Duration::from_millis(millis))),
            _ => Err(format!("{text:?} is longer than a day: write 1440m or less")),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("{text:?} is no rate: write it like 200/s or 10/m");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let (_, millis) =
            TIME_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        let count = count.trim().parse().map_err(|_| wrong())?;
        if count == 0 {
            return Err("a rate of zero would refuse everything: write 1/m or more".to_owned());
        }
        Ok(Rate { count, per: Duration::from_millis(*millis) })
    }
}

impl FromStr for Flow {
    type Err = String;

    fn from_str(text: &str) -> Result<Flow, String> {
        let wrong = |_| format!("{text:?} is no size a second: write it like 64KiB/s or 1MiB/s");
        let size = text.strip_suffix("/s").ok_or_else(|| wrong(String::new()))?;
        match size.trim_end().parse::<Bytes>() {
            Ok(Bytes(bytes)) => Ok(Flow(bytes)),
            Err(why) if why.contains("zero") => Err(why),
            Err(why) => Err(wrong(why)),
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Bytes(self.0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TIME_UNITS.iter().find(|(_, ms)| u128::from(*ms) == self.per.as_millis());
        write!(f, "{}/{}", self.count, unit.map_or("s", |(name, _)| name))
    }
}

/// A day: nothing that is waited for here takes longer, and timers take it.
const LONGEST_MS: u64 = 86_400_000;

/// The number and the unit behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text.get(..digits)?.parse().ok()?;
    Some((number, text.get(digits..)?.trim_start()))
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = BYTE_UNITS.iter().filter(|(name, _)| !name.is_empty());
        let unit =
            units.into_iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size));
        let (name, size) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1_000) {
            write!(f, "{}s", millis / 1_000)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("512", 512, "512B"),
            ("64KiB", 65_536, "64KiB"),
            ("10 MiB", 10 << 20, "10MiB"),
            ("2GiB", 2 << 30, "2GiB"),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string(), written);
        }
        for text in ["", "x", "10MB", "-1", "0", "99999999999GiB", "1.5MiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, written) in
            [("250ms", 250, "250ms"), ("10s", 10_000, "10s"), ("2m", 120_000, "120s")]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), written);
        }
        for text in ["", "10", "s", "0s", "-1s", "1h30", "2000m"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
    #[test]
    fn rates_are_read_and_written() {
        for (text, count, millis) in [("200/s", 200, 1_000), ("10/m", 10, 60_000)] {
            let rate = Rate { count, per: Duration::from_millis(millis) };
            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        for text in ["", "200", "0/s", "-1/s", "5/h", "x/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
