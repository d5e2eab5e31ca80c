//! The frame rate that decoding times tell.

use super::FrameRate;
use crate::packet::Pts90kHz;

/// The last decoding times of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    last: Option<Pts90kHz>,
    /// The shortest of the steps that agree, in ticks of 90 kHz.
    step: u32,
    /// Steps in a row that differ from it by a tick at most, and their sum.
    steps: u32,
    sum: u32,
    frame_rate: Option<FrameRate>,
}

/// This many steps in a row make a cadence.
const STEPS: u32 = 12;

/// Longest step that is taken for a frame: 1 s.
const STEP_TICKS_MAX: i64 = 90_000;

/// Rates that are in use, in units of 1/1001 and 1.
const RATES: [(u32, u32); 11] = [
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (100, 1),
    (120_000, 1001),
    (120, 1),
];

impl Cadence {
    pub(super) const NEW: Self = Self {
        last: None,
        step: 0,
        steps: 0,
        sum: 0,
        frame_rate: None,
    };

    /// Takes the next decoding time; true when the frame rate has been worked out anew.
    pub(super) fn push(&mut self, time: Pts90kHz) -> bool {
        let Some(last) = self.last.replace(time) else {
            return false;
        };
        let step = time.signed_difference(last);
        if !(1..=STEP_TICKS_MAX).contains(&step) {
            self.steps = 0;
            return false;
        }
        // At most STEP_TICKS_MAX.
        let step = step as u32;
        if self.steps > 0 && step.abs_diff(self.step) <= 1 {
            self.steps += 1;
            self.sum += step;
        } else {
            self.step = step;
            self.steps = 1;
            self.sum = step;
        }
        if self.steps < STEPS {
            return false;
        }
        self.frame_rate = nearest(self.sum, self.steps);
        self.steps = 0;
        true
    }

    /// Frames are missing.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.steps = 0;
    }

    /// The frame rate, once it is known.
    pub(super) fn frame_rate(&self) -> Option<FrameRate> {
        self.frame_rate
    }
}

/// The rate in use that `steps` frames in `ticks` of 90 kHz are, or their exact quotient.
fn nearest(ticks: u32, steps: u32) -> Option<FrameRate> {
    let exact = 90_000.0 * f64::from(steps) / f64::from(ticks);
    let known = RATES.into_iter().find(|&(numerator, denominator)| {
        let rate = f64::from(numerator) / f64::from(denominator);
        // 24000/1001 and 24 are 0.1 % apart; steps of whole ticks are right to a twentieth of that.
        (exact / rate - 1.0).abs() < 0.000_3
    });
    let (numerator, denominator) = known.unwrap_or((90_000 * steps, ticks));
    FrameRate::new(numerator, denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_in_use_are_found_from_rounded_ticks() {
        for (numerator, denominator) in RATES {
            let mut cadence = Cadence::NEW;
            for n in 0..40_u64 {
                let ticks = n * 90_000 * u64::from(denominator) / u64::from(numerator);
                // Near the wrap of the clock.
                cadence.push(Pts90kHz::from_ticks(Pts90kHz::MODULUS - 5000 + ticks));
            }
            assert_eq!(
                cadence.frame_rate(),
                FrameRate::new(numerator, denominator),
                "{numerator}/{denominator}"
            );
        }
    }

    #[test]
    fn times_without_order_are_no_cadence() {
        let mut cadence = Cadence::NEW;
        for n in 0..200_u64 {
            cadence.push(Pts90kHz::from_ticks(n * n * 7919 % 100_000));
        }
        assert_eq!(cadence.frame_rate(), None);
    }
}
