//! Keys from passwords: scrypt (RFC 7914), which apps verify passwords with. In a
//! guest's own language it would take a minute; here it takes what it takes
//! elsewhere.
//!
//! SECURITY: a guest chooses what it costs. Its memory is the instance's and the
//! tenant's while it runs, and its time is the request's: it yields, as guests do,
//! after each step of some hundred microseconds, however long its parts are.

use std::future::poll_fn;
use std::task::Poll;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::tenant::{Lack, Taken};

/// The longest key, in bytes.
const LONGEST: u32 = 1 << 10;
/// The largest `r`: 128 times as many bytes are mixed in one step. Apps have 8.
const LARGEST_R: u32 = 1 << 10;
/// Words that are mixed or hashed between two yields: some hundred microseconds.
const SLICE: usize = 1 << 16;
/// What it costs to begin and end a hash, in words of what is hashed.
const HASH: usize = 1 << 6;
/// Words of what Salsa20 mixes.
const SALSA: usize = 16;

/// `variant error` of `interface keys`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "too-large")]
    TooLarge,
}

type Params = (Vec<u8>, Vec<u8>, u32, u32, u32, u32);

/// Links `interface keys`; `room` takes memory for as long as its answer is held.
///
/// # Errors
/// A name is taken, which is a mistake in this function.
pub(crate) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    room: fn(&mut T, usize) -> Result<Taken, Lack>,
) -> wasmtime::Result<()> {
    let mut keys = linker.instance("myweb:handler/keys@0.1.0")?;
    keys.func_wrap_async("scrypt", move |mut store, params: Params| {
        let (password, salt, n, r, p, length) = params;
        let begun = Cost::of(n, r, p, length).and_then(|cost| {
            let held = room(store.data_mut(), cost.bytes()).map_err(|_| Error::TooLarge)?;
            Ok((cost, held))
        });
        Box::new(async move {
            let answer = match begun {
                Ok((cost, _held)) => Ok(cost.derive(&password, &salt).await),
                Err(error) => Err(error),
            };
            Ok::<(Result<Vec<u8>, Error>,), _>((answer,))
        })
    })
}

/// What a key costs, and how long it is.
struct Cost {
    n: usize,
    /// Words of a block.
    words: usize,
    p: usize,
    length: usize,
}

impl Cost {
    fn of(n: u32, r: u32, p: u32, length: u32) -> Result<Cost, Error> {
        let invalid = |why: &str| Err(Error::Invalid(why.to_owned()));
        if n < 2 || !n.is_power_of_two() {
            return invalid("n is a power of 2, at least 2");
        }
        if r == 0 || p == 0 || r.checked_mul(p).is_none_or(|product| product >= 1 << 30) {
            return invalid("r and p are at least 1, their product less than 2^30");
        }
        if r > LARGEST_R {
            return invalid("r is at most 1024");
        }
        if length == 0 || length > LONGEST {
            return invalid("a key has 1 to 1024 bytes");
        }
        let [n, r, p, length] = [n, r, p, length].map(|number| number as usize);
        Ok(Cost { n, words: r * 2 * SALSA, p, length })
    }

    /// The memory that it takes.
    fn bytes(&self) -> usize {
        // All tables, and `p` blocks as bytes, and one as words, twice.
        let blocks = self.n.saturating_add(self.p).saturating_add(2);
        blocks.saturating_mul(self.words).saturating_mul(size_of::<u32>())
    }

    async fn derive(&self, password: &[u8], salt: &[u8]) -> Vec<u8> {
        let mut slice = Slice::default();
        let password = hmac::Key::new(HMAC_SHA256, password);
        let mut blocks = vec![0; self.p * self.words * size_of::<u32>()];
        stretch(&password, salt, &mut blocks, &mut slice).await;
        let mut table = vec![0; self.n * self.words];
        for block in blocks.chunks_exact_mut(self.words * size_of::<u32>()) {
            let mut words: Vec<u32> = block.chunks_exact(4).map(word).collect();
            self.mix(&mut words, &mut table, &mut slice).await;
            for (bytes, word) in block.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        let mut key = vec![0; self.length];
        stretch(&password, &blocks, &mut key, &mut slice).await;
        key
    }

    /// `scryptROMix`.
    async fn mix(&self, block: &mut Vec<u32>, table: &mut [u32], slice: &mut Slice) {
        let mut next = vec![0; self.words];
        for place in table.chunks_exact_mut(self.words) {
            place.copy_from_slice(block);
            mix_block(block, &mut next);
            std::mem::swap(block, &mut next);
            slice.spend(self.words).await;
        }
        for _ in 0..self.n {
            // `n` is a power of 2: the rest is its lower bits.
            let place = block[self.words - SALSA] as usize & (self.n - 1);
            let there = &table[place * self.words..][..self.words];
            block.iter_mut().zip(there).for_each(|(word, there)| *word ^= there);
            mix_block(block, &mut next);
            std::mem::swap(block, &mut next);
            slice.spend(self.words).await;
        }
    }
}

/// PBKDF2 with HMAC-SHA-256 and one round (RFC 8018 section 5.2). The salt, which may
/// be as long as all blocks are, is hashed once.
async fn stretch(password: &hmac::Key, salt: &[u8], out: &mut [u8], slice: &mut Slice) {
    let mut salted = hmac::Context::with_key(password);
    for part in salt.chunks(SLICE) {
        salted.update(part);
        slice.spend(part.len() / size_of::<u32>()).await;
    }
    for (number, part) in (1u32..).zip(out.chunks_mut(HMAC_SHA256.digest_algorithm().output_len)) {
        let mut one = salted.clone();
        one.update(&number.to_be_bytes());
        part.copy_from_slice(&one.sign().as_ref()[..part.len()]);
        slice.spend(HASH).await;
    }
}

/// What was done since others had their turn, in words.
#[derive(Default)]
struct Slice(usize);

impl Slice {
    /// Lets others have their turn now and then.
    async fn spend(&mut self, words: usize) {
        self.0 += words;
        if self.0 < SLICE {
            return;
        }
        self.0 = 0;
        let mut is_second = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_second, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// `scryptBlockMix`: even parts go to the first half, odd ones to the second.
fn mix_block(block: &[u32], mixed: &mut [u32]) {
    let (parts, half) = (block.len() / SALSA, block.len() / 2);
    let mut last = [0; SALSA];
    last.copy_from_slice(&block[block.len() - SALSA..]);
    for part in 0..parts {
        let words = &block[part * SALSA..][..SALSA];
        last.iter_mut().zip(words).for_each(|(last, word)| *last ^= word);
        salsa(&mut last);
        let at = part / 2 * SALSA + part % 2 * half;
        mixed[at..at + SALSA].copy_from_slice(&last);
    }
}

/// Salsa20 with 8 rounds.
fn salsa(words: &mut [u32; SALSA]) {
    let mut x = *words;
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
        x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
        x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
        x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
    };
    for _ in 0..4 {
        quarter(0, 4, 8, 12);
        quarter(5, 9, 13, 1);
        quarter(10, 14, 2, 6);
        quarter(15, 3, 7, 11);
        quarter(0, 1, 2, 3);
        quarter(5, 6, 7, 4);
        quarter(10, 11, 8, 9);
        quarter(15, 12, 13, 14);
    }
    words.iter_mut().zip(x).for_each(|(word, x)| *word = word.wrapping_add(x));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn keys_are_those_of_rfc_7914() {
        for (password, salt, (n, r, p), expected) in [
            (
                "",
                "",
                (16, 1, 1),
                "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442",
            ),
            (
                "password",
                "NaCl",
                (1024, 8, 16),
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
            ),
            (
                "pleaseletmein",
                "SodiumChloride",
                (16384, 8, 1),
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
            ),
        ] {
            let cost = Cost::of(n, r, p, 64).ok().expect("a cost");
            let key = cost.derive(password.as_bytes(), salt.as_bytes()).await;
            assert_eq!(hex(&key[..32]), expected, "{password}");
        }
    }

    /// How long its longest step is, in a poll each.
    #[tokio::test]
    async fn no_part_of_a_key_keeps_others_waiting() {
        let salt = vec![1; 4 << 20];
        for (salt, n, r, p, length) in
            [(&salt[..], 2, 1, 1, 1024), (&[], 2, 1, 200_000, 1024), (&[], 2, 1024, 20, 32)]
        {
            let cost = Cost::of(n, r, p, length).ok().expect("a cost");
            let mut key = std::pin::pin!(cost.derive(b"", salt));
            let mut polls = 0_usize;
            poll_fn(|context| {
                polls += 1;
                key.as_mut().poll(context).map(drop)
            })
            .await;
            let words = salt.len() / 4 + 3 * cost.p * cost.words;
            assert!(polls > words / SLICE, "{polls} polls for {words} words");
        }
    }

    #[test]
    fn costs_that_nobody_could_mean_are_refused() {
        for (n, r, p, length) in [
            (0, 8, 1, 64),
            (1, 8, 1, 64),
            (1000, 8, 1, 64),
            (16, 0, 1, 64),
            (16, 8, 0, 64),
            (16, u32::MAX, 2, 64),
            (16, 1 << 15, 1 << 15, 64),
            (16, 1025, 1, 64),
            (16, 8, 1, 0),
            (16, 8, 1, u32::MAX),
        ] {
            assert!(Cost::of(n, r, p, length).is_err(), "{n} {r} {p} {length}");
        }
        let most = Cost::of(1 << 31, 1024, (1 << 20) - 1, 1).ok().map(|cost| cost.bytes());
        assert!(most.is_some_and(|bytes| bytes > 1 << 48));
    }
}
