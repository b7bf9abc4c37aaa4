//! Which parts of a file a client asks for (RFC 9110 section 14). Pure.

/// More parts than this are answered with the whole: they would cost more than it.
/// Nothing behind them is read.
const MOST: usize = 16;

/// What of a representation is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    Whole,
    /// 416: no range that was asked for is in it.
    Unsatisfiable,
    /// At least one.
    Parts(Vec<Part>),
}

/// Bytes of a file: the first, and how many; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Part {
    /// `Content-Range`, of a whole so long.
    pub(super) fn content_range(&self, whole: u64) -> String {
        format!("bytes {}-{}/{whole}", self.start, self.start + self.length - 1)
    }

    fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// What a `Range` header selects of so many bytes. One that is not valid, or of
/// another unit, is as if it were not there.
pub(super) fn select(header: &str, whole: u64) -> Selected {
    let Some((unit, list)) = header.split_once('=') else { return Selected::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selected::Whole;
    }
    // Each empty item counts, too: RFC 9110 section 5.6.1.2 asks to accept a few.
    if list.split(',').nth(MOST).is_some() {
        return Selected::Whole;
    }
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    let Some(parts) = items.map(|item| part(item, whole)).collect::<Option<Vec<_>>>() else {
        return Selected::Whole;
    };
    if parts.is_empty() {
        return Selected::Whole;
    }
    let parts = join(parts.into_iter().flatten().collect());
    if parts.is_empty() { Selected::Unsatisfiable } else { Selected::Parts(parts) }
}

/// One range: `None` if it is not valid, `Some(None)` if it is beyond the end.
fn part(text: &str, whole: u64) -> Option<Option<Part>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first.trim_end())?, number(last.trim_start())?);
    let (start, end) = match (first, last) {
        (None, None) => return None,
        (None, Some(suffix)) => (whole.saturating_sub(suffix), whole),
        (Some(first), None) => (first, whole),
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(whole)),
    };
    Some((start < end).then(|| Part { start, length: end - start }))
}

/// `Some(None)` for no digits at all; too large a number is beyond every end.
fn number(digits: &str) -> Option<Option<u64>> {
    match digits {
        "" => Some(None),
        _ if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
        _ => Some(Some(digits.parse().unwrap_or(u64::MAX))),
    }
}

/// Parts in the order in which they were asked for, unless some touch: then
/// joined, in the order of the file.
fn join(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    for part in sorted {
        match joined.last_mut().filter(|last| part.start <= last.end()) {
            Some(last) => last.length = last.end().max(part.end()) - last.start,
            None => joined.push(part),
        }
    }
    if joined.len() == parts.len() { parts } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_select_parts_of_ten_bytes() {
        let parts = |list: &[(u64, u64)]| {
            let part = |&(start, length): &(u64, u64)| Part { start, length };
            Selected::Parts(list.iter().map(part).collect())
        };
        for (header, selected) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=2-5", parts(&[(2, 4)])),
            ("Bytes = 2 - 5 ", parts(&[(2, 4)])),
            ("bytes=7-", parts(&[(7, 3)])),
            ("bytes=-3", parts(&[(7, 3)])),
            ("bytes=-30", parts(&[(0, 10)])),
            ("bytes=5-99999999999999999999999", parts(&[(5, 5)])),
            ("bytes=8-9,0-1", parts(&[(8, 2), (0, 2)])),
            ("bytes=0-1,20-30", parts(&[(0, 2)])),
            ("bytes=4-6,0-1,5-8", parts(&[(0, 2), (4, 5)])),
            ("bytes=0-1,2-3", parts(&[(0, 4)])),
            ("bytes=,0-1,,", parts(&[(0, 2)])),
            ("bytes=10-", Selected::Unsatisfiable),
            ("bytes=-0", Selected::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selected::Unsatisfiable),
            ("bytes=5-2", Selected::Whole),
            ("bytes=-", Selected::Whole),
            ("bytes=a-b", Selected::Whole),
            ("bytes=+1-2", Selected::Whole),
            ("bytes=", Selected::Whole),
            ("lines=1-2", Selected::Whole),
            ("nonsense", Selected::Whole),
        ] {
            assert_eq!(select(header, 10), selected, "{header}");
        }
    }

    #[test]
    fn more_than_sixteen_parts_are_the_whole_and_nothing_behind_them_is_read() {
        let apart = |count: u64| {
            let items: Vec<String> = (0..count).map(|n| format!("{}-{0}", n * 2)).collect();
            select(&format!("bytes={}", items.join(",")), 100)
        };
        assert!(matches!(apart(16), Selected::Parts(parts) if parts.len() == 16));
        assert_eq!(apart(17), Selected::Whole);
        let touching = |count| select(&format!("bytes={}", vec!["0-9"; count].join(",")), 100);
        assert_eq!(touching(16), Selected::Parts(vec![Part { start: 0, length: 10 }]));
        assert_eq!(touching(10_000), Selected::Whole);
        // An invalid part behind the seventeenth is not seen, nor are empty ones.
        for (item, selected) in [("200-", Selected::Whole), ("", Selected::Whole)] {
            let list = vec![item; 60_000].join(",");
            assert_eq!(select(&format!("bytes={list}"), 100), selected);
        }
        assert_eq!(select("bytes=0-", 0), Selected::Unsatisfiable);
    }
}
