//! Cuts a file at content-defined places: `chunks FILE AVERAGE…`
//!
//! For each average it prints a line with the nanoseconds that cutting took, and the lengths. With
//! an average of 1 MiB it cuts as `src/remote/cut.rs` does: FastCDC with normalisation 2, and
//! segments between half of the average and four times the average.

use std::time::Instant;

fn main() {
    let mut words = std::env::args().skip(1);
    let bytes = std::fs::read(words.next().expect("FILE")).expect("readable");
    let gear = gear();
    for average in words.map(|word| word.parse::<usize>().expect("a number")) {
        // The fastest of three: the machine may be busy.
        let mut best = (u128::MAX, Vec::new());
        for _ in 0..3 {
            let began = Instant::now();
            let lengths = cut(&bytes, average, &gear);
            best = best.min((began.elapsed().as_nanos(), lengths));
        }
        print!("{}", best.0);
        best.1.iter().for_each(|length| print!(" {length}"));
        println!();
    }
}

fn cut(bytes: &[u8], average: usize, gear: &[u64; 256]) -> Vec<usize> {
    let bits = average.ilog2();
    let (strict, lax) = (u64::MAX << (64 - bits - 2), u64::MAX << (64 - bits + 2));
    let (mut lengths, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = first(rest, average, [strict, lax], gear);
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

/// Returns the length of the first chunk.
fn first(bytes: &[u8], average: usize, masks: [u64; 2], gear: &[u64; 256]) -> usize {
    let most = bytes.len().min(average * 4);
    let mut hash = 0_u64;
    let mut at = (average / 2).min(most);
    for (mask, end) in [(masks[0], average.min(most)), (masks[1], most)] {
        while at < end {
            hash = (hash << 1).wrapping_add(gear[usize::from(bytes[at])]);
            at += 1;
            if hash & mask == 0 {
                return at;
            }
        }
    }
    most
}

/// Returns 256 random numbers: splitmix64.
fn gear() -> [u64; 256] {
    let mut state = 0_u64;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
