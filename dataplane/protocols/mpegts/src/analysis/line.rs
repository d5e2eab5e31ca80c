//! The line that the PCRs of a constant bitrate lie on, and which of them miss it (TR 101 290 2.4).
//!
//! The abscissa is the packet position, so the network does not show. One line per PCR PID: two programmes of a multiplex
//! may have clocks of different rates.
//!
//! The first [`LEARNED`] PCRs are judged together, once the line is known, every later one against the line through those
//! before it. Packets that were lost or put in on the way move all later PCRs by whole packets; that is no fault of the
//! clock and is taken out. Where no line fits, the bitrate varies and there is no verdict.

/// The last PCRs of one PID and the line through them. Memory is fixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Positions in packets since `base_position`.
    x: [u32; WINDOW],
    /// Clocks in ticks of 27 MHz since `base_ticks`, moved onto one line.
    y: [u32; WINDOW],
    base_position: u64,
    base_ticks: u64,
    /// What is added to clocks to take out lost packets.
    shift: f64,
    len: u8,
    learned: bool,
    /// PCRs since the last one on the line, with their distances.
    outliers: u8,
    outlier: [f32; OUTLIERS],
    /// Moves by whole packets in the last PCRs, halved every [`WINDOW`] PCRs.
    moves: u8,
    age: u8,
    /// Largest distance of a PCR that was judged since [`Self::take_deviation`], in ticks; negative when none was.
    deviation: f32,
    fit: Fit,
}

/// `ticks = intercept + slope * position`, both since the bases.
#[derive(Clone, Copy, Debug)]
struct Fit {
    slope: f64,
    intercept: f64,
}

/// Points of the line. At a PCR every 30 ms this is two seconds, in which the drift that ISO/IEC 13818-1 2.4.2.1 allows
/// (0.075 Hz/s) moves a clock by 11 ns.
const WINDOW: usize = 64;

/// Points that the first verdict needs: with errors of up to 300 ns each the line through 48 is right to 50 ns.
const LEARNED: usize = 48;

/// Points that are enough when no more will come.
const LEARNED_AT_END: usize = 12;

/// This many PCRs in a row off the line are no single errors but another line.
const OUTLIERS: usize = 12;

//= TR 101 290 2.4: PCR accuracy of the selected programme is not within +-500 ns.
/// 500 ns in ticks of 27 MHz.
const TOLERANCE: f64 = 13.5;

/// When PCRs typically miss the best line by more than this (10 us in ticks), the bitrate is not constant.
const CONSTANT_BITRATE: f64 = 270.0;

/// A packet must take longer than this (8 us in ticks, 188 Mb/s) for a move by whole packets to be told from a clock error.
const PACKET_TICKS_MIN: f64 = 216.0;

/// No distance is as short.
const NOTHING_JUDGED: f32 = -1.0;

/// More moves than this within a window are another bitrate, not loss.
const MOVES_MAX: u8 = 6;

impl Line {
    pub(super) const NEW: Self = Self {
        x: [0; WINDOW],
        y: [0; WINDOW],
        base_position: 0,
        base_ticks: 0,
        shift: 0.0,
        len: 0,
        learned: false,
        outliers: 0,
        outlier: [0.0; OUTLIERS],
        moves: 0,
        age: 0,
        deviation: NOTHING_JUDGED,
        fit: Fit {
            slope: 0.0,
            intercept: 0.0,
        },
    };

    /// Takes a PCR at `position` (packets) whose clock stands at `ticks` (27 MHz, without wrap); both grow from call to
    /// call. `disturbed` when packets are known to have been lost or repeated since the last call. Returns how many PCRs
    /// turn out to be errors, this one and earlier ones.
    pub(super) fn push(&mut self, position: u64, ticks: u64, disturbed: bool) -> u32 {
        if self.len == 0 {
            self.restart(position, ticks);
            return 0;
        }
        if self.learned {
            self.judge(position, ticks, disturbed)
        } else {
            self.learn(position, ticks, disturbed)
        }
    }

    /// No more PCRs come: judges what waited for others. Returns how many are errors. The line begins anew.
    pub(super) fn finish(&mut self) -> u32 {
        let errors = if self.learned {
            self.judge_outliers()
        } else if usize::from(self.len) >= LEARNED_AT_END {
            self.first_verdict().unwrap_or(0)
        } else {
            0
        };
        self.forget();
        errors
    }

    /// Largest distance between a PCR and the line, in ticks, of those that were judged since the last call; `None` when
    /// none was. Where packets were lost or put in, what they moved is left out.
    pub(super) fn take_deviation(&mut self) -> Option<f32> {
        let deviation = std::mem::replace(&mut self.deviation, NOTHING_JUDGED);
        (deviation >= 0.0).then_some(deviation)
    }

    /// True when there is a line and PCRs are judged.
    pub(super) fn is_constant_bitrate(&self) -> bool {
        self.learned
    }

    fn restart(&mut self, position: u64, ticks: u64) {
        self.forget();
        self.base_position = position;
        self.base_ticks = ticks;
        self.len = 1;
    }

    /// Begins anew. What has been judged stays judged.
    fn forget(&mut self) {
        *self = Self {
            deviation: self.deviation,
            ..Self::NEW
        };
    }

    fn note(&mut self, distance: f64) {
        self.deviation = self.deviation.max(distance.abs() as f32);
    }

    /// The PCRs off the line turn out to be errors; returns how many.
    fn judge_outliers(&mut self) -> u32 {
        let errors = std::mem::take(&mut self.outliers);
        for n in 0..usize::from(errors) {
            self.note(f64::from(self.outlier[n]));
        }
        u32::from(errors)
    }

    fn learn(&mut self, position: u64, ticks: u64, disturbed: bool) -> u32 {
        if !self.add(position, ticks) || (disturbed && self.packets_are_short()) {
            self.restart(position, ticks);
            return 0;
        }
        if usize::from(self.len) < LEARNED {
            return 0;
        }
        if let Some(errors) = self.first_verdict() {
            errors
        } else {
            self.drop_oldest(LEARNED / 4);
            0
        }
    }

    fn judge(&mut self, position: u64, ticks: u64, disturbed: bool) -> u32 {
        let x = (position - self.base_position) as f64;
        let y = (ticks - self.base_ticks) as f64 + self.shift;
        let distance = y - self.fit.at(x);
        if self.age == WINDOW as u8 {
            self.age = 0;
            self.moves /= 2;
        }
        self.age += 1;
        if distance.abs() <= TOLERANCE {
            self.note(distance);
            return self.on_line(position, ticks);
        }
        let packets = (distance / self.fit.slope).round();
        if self.packets_are_short() {
            if disturbed {
                self.restart(position, ticks);
                return 0;
            }
        } else if packets != 0.0 && (distance - packets * self.fit.slope).abs() <= TOLERANCE {
            self.moves += 1;
            if self.moves > MOVES_MAX {
                self.restart(position, ticks);
                return 0;
            }
            self.shift -= packets * self.fit.slope;
            // What was off the line before a move may have been moving: it is not held against the clock.
            self.outliers = 0;
            self.note(distance - packets * self.fit.slope);
            return self.on_line(position, ticks);
        }
        self.outlier[usize::from(self.outliers)] = distance as f32;
        self.outliers += 1;
        if usize::from(self.outliers) < OUTLIERS {
            return 0;
        }
        self.other_line(position, ticks)
    }

    fn on_line(&mut self, position: u64, ticks: u64) -> u32 {
        let errors = self.judge_outliers();
        if self.add(position, ticks) {
            self.fit = least_squares(self.points());
        } else {
            self.restart(position, ticks);
        }
        errors
    }

    /// No PCR has been on the line for a while.
    fn other_line(&mut self, position: u64, ticks: u64) -> u32 {
        let mut distances = self.outlier.map(f64::from);
        let middle = median(&mut distances);
        let agree = distances
            .iter()
            .all(|distance| (distance - middle).abs() <= 2.0 * TOLERANCE);
        if agree {
            // The clock has moved, and stays there. If by whole packets, those were lost and the clock is right.
            let packets = (middle / self.fit.slope).round();
            let lost = packets != 0.0 && (middle - packets * self.fit.slope).abs() <= TOLERANCE;
            self.shift -= middle;
            if lost {
                self.outliers = 0;
                return 0;
            }
            return self.judge_outliers();
        }
        let mut sizes = distances.map(f64::abs);
        if median(&mut sizes) <= CONSTANT_BITRATE {
            // The bitrate is constant and the clock bad. The line follows its mean.
            return self.judge_outliers() + self.on_line(position, ticks);
        }
        self.restart(position, ticks);
        0
    }

    /// Fits the line through the first points; `None` when there is none. Points that are errors are counted and left out.
    fn first_verdict(&mut self) -> Option<u32> {
        self.take_out_moves()?;
        let mut fit = least_squares(self.points());
        if !self
            .points()
            .all(|point| fit.distance(point).abs() <= TOLERANCE)
        {
            fit = self.robust_fit()?;
        }
        // Twice, for the points that are on the line change a little with it.
        for _ in 0..2 {
            let good = self
                .points()
                .filter(|&p| fit.distance(p).abs() <= TOLERANCE);
            if good.clone().count() * 2 > usize::from(self.len) {
                fit = least_squares(good);
            }
        }
        let mut errors = 0;
        let mut largest = 0.0;
        let mut kept = 0;
        let mut run = 0;
        for n in 0..usize::from(self.len) {
            let distance = fit.distance((f64::from(self.x[n]), f64::from(self.y[n])));
            largest = distance.abs().max(largest);
            if distance.abs() <= TOLERANCE {
                self.x[kept] = self.x[n];
                self.y[kept] = self.y[n];
                kept += 1;
                run = 0;
            } else {
                errors += 1;
                run += 1;
            }
        }
        if run >= OUTLIERS || fit.slope <= 0.0 || kept < 2 {
            return None;
        }
        self.len = kept as u8;
        self.fit = fit;
        self.learned = true;
        self.note(largest);
        Some(errors)
    }

    /// Takes moves by whole packets out of the points that are being learned. `None` when there are too many for loss.
    fn take_out_moves(&mut self) -> Option<()> {
        let len = usize::from(self.len);
        let mut slopes = [0.0; WINDOW];
        let steps = slopes.get_mut(..len.checked_sub(1)?)?;
        for (n, slope) in steps.iter_mut().enumerate() {
            let (dx, dy) = self.step(n);
            *slope = dy / dx;
        }
        let packet = median(steps);
        if packet < PACKET_TICKS_MIN {
            return Some(());
        }
        let mut moves = 0;
        let mut shift = 0.0;
        for n in 0..len - 1 {
            let (dx, dy) = self.step(n);
            let off = dy + shift - packet * dx;
            let packets = (off / packet).round();
            if packets != 0.0 && (off - packets * packet).abs() <= 2.0 * TOLERANCE {
                shift -= packets * packet;
                moves += 1;
            }
        }
        if moves == 0 {
            return Some(());
        }
        if moves > MOVES_MAX {
            return None;
        }
        // A second pass, which writes: the first one must be able to give up without a trace.
        let mut shift = 0.0;
        let mut before = (f64::from(self.x[0]), f64::from(self.y[0]));
        for n in 1..len {
            let point = (f64::from(self.x[n]), f64::from(self.y[n]));
            let off = point.1 - before.1 - packet * (point.0 - before.0);
            let packets = (off / packet).round();
            if packets != 0.0 && (off - packets * packet).abs() <= 2.0 * TOLERANCE {
                shift -= packets * packet;
            }
            before = point;
            let moved = (point.1 + shift).round();
            if moved < 0.0 || moved > f64::from(u32::MAX) {
                return None;
            }
            self.y[n] = moved as u32;
        }
        self.shift += shift;
        self.moves = moves;
        Some(())
    }

    /// A line that up to a quarter of the points may miss by any distance: the middle slope between points half a window
    /// apart, through the middle of the points.
    fn robust_fit(&self) -> Option<Fit> {
        let len = usize::from(self.len);
        let half = len / 2;
        let mut values = [0.0; WINDOW];
        let slopes = values.get_mut(..len - half)?;
        for (n, slope) in slopes.iter_mut().enumerate() {
            let dx = f64::from(self.x[n + half]) - f64::from(self.x[n]);
            let dy = f64::from(self.y[n + half]) - f64::from(self.y[n]);
            *slope = dy / dx;
        }
        let slope = median(slopes);
        let distances = values.get_mut(..len)?;
        for (distance, (x, y)) in distances.iter_mut().zip(self.points()) {
            *distance = y - slope * x;
        }
        let intercept = median(distances);
        let fit = Fit { slope, intercept };
        for (distance, point) in distances.iter_mut().zip(self.points()) {
            *distance = fit.distance(point).abs();
        }
        (median(distances) <= CONSTANT_BITRATE).then_some(fit)
    }

    /// Appends a point; false when it does not fit behind the others, as after hours without a PCR.
    fn add(&mut self, position: u64, ticks: u64) -> bool {
        if usize::from(self.len) == WINDOW {
            self.drop_oldest(1);
        }
        let n = usize::from(self.len);
        let y = (ticks - self.base_ticks) as f64 + self.shift;
        let Ok(x) = u32::try_from(position - self.base_position) else {
            return false;
        };
        if !(0.0..f64::from(u32::MAX)).contains(&y.round()) || n > 0 && x <= self.x[n - 1] {
            return false;
        }
        self.x[n] = x;
        self.y[n] = y.round() as u32;
        self.len += 1;
        true
    }

    /// Drops points and moves the bases to the oldest that stays, so that numbers stay small.
    fn drop_oldest(&mut self, count: usize) {
        let len = usize::from(self.len);
        let count = count.min(len.saturating_sub(1));
        self.x.copy_within(count..len, 0);
        self.y.copy_within(count..len, 0);
        self.len -= count as u8;
        let (x, y) = (self.x[0], self.y[0]);
        for (px, py) in self.x.iter_mut().zip(&mut self.y) {
            *px = px.wrapping_sub(x);
            *py = py.saturating_sub(y);
        }
        self.base_position += u64::from(x);
        self.base_ticks += u64::from(y);
        self.fit.intercept += self.fit.slope * f64::from(x) - f64::from(y);
    }

    fn packets_are_short(&self) -> bool {
        let n = usize::from(self.len) - 1;
        n > 0 && f64::from(self.y[n]) < PACKET_TICKS_MIN * f64::from(self.x[n])
    }

    fn step(&self, n: usize) -> (f64, f64) {
        (
            f64::from(self.x[n + 1]) - f64::from(self.x[n]),
            f64::from(self.y[n + 1]) - f64::from(self.y[n]),
        )
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        let len = usize::from(self.len);
        let (x, y) = (&self.x[..len], &self.y[..len]);
        x.iter().zip(y).map(|(&x, &y)| (f64::from(x), f64::from(y)))
    }
}

impl Fit {
    fn at(self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    fn distance(self, (x, y): (f64, f64)) -> f64 {
        y - self.at(x)
    }
}

fn least_squares(points: impl Iterator<Item = (f64, f64)> + Clone) -> Fit {
    let (mut n, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for (x, y) in points.clone() {
        n += 1.0;
        sum_x += x;
        sum_y += y;
    }
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut sum_xx, mut sum_xy) = (0.0, 0.0);
    for (x, y) in points {
        let dx = x - mean_x;
        sum_xx += dx * dx;
        sum_xy += dx * (y - mean_y);
    }
    let slope = if sum_xx > 0.0 { sum_xy / sum_xx } else { 0.0 };
    Fit {
        slope,
        intercept: mean_y - slope * mean_x,
    }
}

/// The middle one of `values`, which are put in order; 0 of none.
fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests;
