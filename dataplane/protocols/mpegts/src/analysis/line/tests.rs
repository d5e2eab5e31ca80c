use proptest::prelude::*;

use super::*;

/// PCRs every 30 ms or so of a multiplex, in packets and exact ticks.
fn clean(bitrate_bps: u64, count: u64) -> Vec<(u64, u64)> {
    let interval = (bitrate_bps * 30 / 1000 / 1504).max(1);
    (0..count)
        .map(|n| {
            let position = 10 + n * interval + n % 2;
            let ticks = u128::from(position) * 1504 * 27_000_000 / u128::from(bitrate_bps);
            (position, 5_000_000 + ticks as u64)
        })
        .collect()
}

fn errors(points: &[(u64, u64)]) -> u32 {
    let mut line = Line::NEW;
    let judged: u32 = points
        .iter()
        .map(|&(position, ticks)| line.push(position, ticks, false))
        .sum();
    judged + line.finish()
}

const BITRATES: [u64; 5] = [300_000, 1_300_000, 38_000_000, 270_000_000, 1_000_000_000];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn jitter_within_300_ns_is_no_error(seed in prop::collection::vec(-8_i64..=8, 500)) {
        for bitrate_bps in BITRATES {
            let mut points = clean(bitrate_bps, 500);
            for ((_, ticks), jitter) in points.iter_mut().zip(&seed) {
                *ticks = ticks.wrapping_add_signed(*jitter);
            }
            prop_assert_eq!(errors(&points), 0, "{}", bitrate_bps);
        }
    }

    #[test]
    fn ten_pcrs_off_by_2_us_are_ten_errors(
        wrong in prop::collection::btree_set(0_usize..480, 10),
        late in any::<bool>(),
    ) {
        for bitrate_bps in BITRATES {
            let mut points = clean(bitrate_bps, 492);
            for &n in &wrong {
                points[n].1 = points[n].1.wrapping_add_signed(if late { 54 } else { -54 });
            }
            prop_assert_eq!(errors(&points), 10, "{}", bitrate_bps);
        }
    }

    #[test]
    fn packets_lost_or_put_in_are_no_error(at in 0_usize..400, packets in 1_u64..7, lost in any::<bool>()) {
        for bitrate_bps in [300_000, 1_300_000, 38_000_000] {
            let mut points = clean(bitrate_bps, 500);
            for (position, _) in &mut points[at..] {
                *position = if lost { *position - packets } else { *position + packets };
            }
            if points.is_sorted_by(|a, b| a.0 < b.0) {
                prop_assert_eq!(errors(&points), 0, "{}", bitrate_bps);
            }
        }
    }

    #[test]
    fn variable_bitrate_has_no_verdict(steps in prop::collection::vec((1_u64..2000, 270_000_u64..2_600_000), 300)) {
        let mut points = vec![(0, 0)];
        let (mut position, mut ticks) = (0, 0);
        for (packets, step) in steps {
            position += packets;
            ticks += step;
            points.push((position, ticks));
        }
        prop_assert_eq!(errors(&points), 0);
    }

    #[test]
    fn anything_may_come(steps in prop::collection::vec((0_u64..1 << 40, 0_u64..1 << 40, any::<bool>()), 200)) {
        let mut line = Line::NEW;
        let (mut position, mut ticks, mut pcrs, mut errors) = (0, 0, 0, 0);
        for (packets, step, disturbed) in steps {
            position += packets;
            ticks += step;
            pcrs += 1;
            errors += line.push(position, ticks, disturbed);
            prop_assert!(errors <= pcrs);
        }
        prop_assert!(errors + line.finish() <= pcrs);
    }
}

#[test]
fn loss_within_a_gigabit_stream_is_no_error_once_the_line_is_known() {
    for at in [100, 101, 250] {
        let mut points = clean(1_000_000_000, 400);
        for (position, _) in &mut points[at..] {
            *position -= 1;
        }
        assert_eq!(errors(&points), 0, "{at}");
    }
}

#[test]
fn clocks_of_other_rates_have_their_own_line() {
    let mut points = clean(20_000_000, 436);
    for (_, ticks) in &mut points {
        *ticks += (*ticks as f64 * 35e-6) as u64;
    }
    assert_eq!(errors(&points), 0);
}

#[test]
fn a_bad_clock_at_constant_bitrate_is_in_error_all_along() {
    let mut points = clean(8_000_000, 400);
    for (n, (_, ticks)) in points.iter_mut().enumerate() {
        *ticks += [0, 60, 15, 95, 30, 70, 5][n % 7];
    }
    assert!(errors(&points) > 200);
}

#[test]
fn a_new_bitrate_is_learned_and_not_an_error() {
    let mut points = clean(8_000_000, 200);
    let (position, ticks) = points[199];
    for (x, y) in clean(9_000_000, 200) {
        points.push((position + 150 + x, ticks + 150 * 5076 + y - 5_000_000));
    }
    assert_eq!(errors(&points), 0);
}

#[test]
fn the_largest_deviation_is_told_once() {
    for bitrate_bps in BITRATES {
        let mut line = Line::NEW;
        let push = |line: &mut Line, points: &[(u64, u64)]| {
            for &(position, ticks) in points {
                line.push(position, ticks, false);
            }
        };
        let mut points = clean(bitrate_bps, 400);
        points[200].1 += 540;
        points[300].1 -= 8;
        push(&mut line, &points[..40]);
        assert_eq!(line.take_deviation(), None, "nothing is judged yet");
        push(&mut line, &points[40..200]);
        let quiet = line.take_deviation().unwrap();
        assert!(quiet < 2.0, "{bitrate_bps}: {quiet}");
        push(&mut line, &points[200..250]);
        let error = line.take_deviation().unwrap();
        assert!((error - 540.0).abs() < 3.0, "{bitrate_bps}: {error}");
        push(&mut line, &points[250..350]);
        let jitter = line.take_deviation().unwrap();
        assert!((jitter - 8.0).abs() < 3.0, "{bitrate_bps}: {jitter}");
        assert_eq!(line.take_deviation(), None);
    }
}

#[test]
fn lost_packets_are_no_deviation() {
    let mut points = clean(38_000_000, 300);
    for (position, _) in &mut points[150..] {
        *position -= 5;
    }
    let mut line = Line::NEW;
    for (position, ticks) in points {
        line.push(position, ticks, false);
    }
    let deviation = line.take_deviation().unwrap();
    assert!(deviation < 3.0, "{deviation}");
}
