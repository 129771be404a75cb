use std::time::Duration;

/// xoshiro256** by Blackman and Vigna, its state filled by splitmix64 as they
/// advise. Small, fast and the same everywhere, which is what a reproducible
/// simulation needs; not for keys.
#[derive(Debug)]
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        let mut state = seed;
        Random(std::array::from_fn(|_| splitmix64(&mut state)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// True with the given probability. Draws nothing for zero, so that a fault
    /// which is off leaves the others where they were.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // The 53 bits a double holds exactly, as a fraction of one.
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction < probability
    }

    /// A number from 1 to `most`; 0 if that is 0.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        // Multiply-shift: the bias is far below what a test could notice.
        let scaled = (u128::from(self.next()) * most as u128) >> 64;
        scaled as usize + 1
    }

    /// A span from 1 microsecond to `most`; zero if that is zero.
    pub(crate) fn span(&mut self, most: Duration) -> Duration {
        let micros = usize::try_from(most.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(self.up_to(micros) as u64)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of the authors' splitmix64.c for seed 1234567.
    #[test]
    fn splitmix64_matches_its_reference() {
        let mut state = 1_234_567;
        let outputs: [u64; 3] = std::array::from_fn(|_| splitmix64(&mut state));
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(outputs, expected);
    }

    #[test]
    fn xoshiro256_matches_its_definition() {
        // By hand from state 1, 2, 3, 4: rotl(2 * 5, 7) * 9 = 11520; then s1 is
        // 1 ^ 2 ^ 3 = 0, which gives 0.
        let mut random = Random([1, 2, 3, 4]);
        assert_eq!([random.next(), random.next()], [11_520, 0]);
    }

    #[test]
    fn draws_stay_in_range() {
        let mut random = Random::new(7);
        let draws: Vec<usize> = (0..1000).map(|_| random.up_to(3)).collect();
        assert!((1..=3).all(|value| draws.contains(&value)));
        assert!(draws.iter().all(|draw| (1..=3).contains(draw)));
        assert_eq!(random.up_to(0), 0);
        assert!(!random.chance(0.0) && random.chance(1.0));
        let hits = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
