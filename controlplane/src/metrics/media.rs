//! The families of what is in the streams of running flows.

use std::collections::HashSet;
use std::fmt;

use bilbycast_shm_proto::detail::{AudioDetail, StreamDetail, VideoDetail};
use prometheus_client::metrics::MetricType;

use super::{Page, count};
use crate::node::Survey;
use crate::stats;

pub(super) fn encode(page: &mut Page<'_, '_>, survey: &Survey) -> fmt::Result {
    let Some(counters) = &survey.counters else {
        return Ok(());
    };
    let flows: Vec<(&str, &StreamDetail)> = stats::live_flows(survey)
        .filter(|flow| {
            survey
                .config
                .flow(&flow.flow_id)
                .is_some_and(|configured| configured.media_analysis)
        })
        .filter_map(|flow| Some((flow.flow_id.as_str(), counters.detail(flow)?)))
        .collect();
    let videos: Vec<(&str, String, &VideoDetail)> = flows
        .iter()
        .flat_map(|(flow_id, detail)| {
            let streams = once_each(&detail.video_streams, |video| video.pid);
            streams.map(|video| (*flow_id, video.pid.to_string(), video))
        })
        .collect();
    let audios: Vec<(&str, String, &AudioDetail)> = flows
        .iter()
        .flat_map(|(flow_id, detail)| {
            let streams = once_each(&detail.audio_streams, |audio| audio.pid);
            streams.map(|audio| (*flow_id, audio.pid.to_string(), audio))
        })
        .collect();

    let infos = videos.iter().map(|(flow_id, pid, video)| {
        let labels = [
            ("flow_id", *flow_id),
            ("pid", pid),
            ("codec", &video.codec),
            ("resolution", known(video.resolution.as_ref())),
            ("profile", known(video.profile.as_ref())),
            ("level", known(video.level.as_ref())),
        ];
        (labels, 1_i64)
    });
    page.family(
        "bilbycast_edge_media_video_info",
        "Video stream info",
        MetricType::Gauge,
        infos,
    )?;
    let rates = videos.iter().filter_map(|(flow_id, pid, video)| {
        Some(([("flow_id", *flow_id), ("pid", pid)], video.frame_rate?))
    });
    page.family(
        "bilbycast_edge_media_video_framerate",
        "Video frame rate in fps",
        MetricType::Gauge,
        rates,
    )?;

    let numbers: Vec<(String, String)> = audios
        .iter()
        .map(|(_, _, audio)| {
            let rate = audio.sample_rate_hz.map(|rate| rate.to_string());
            let channels = audio.channels.map(|channels| channels.to_string());
            (rate.unwrap_or_default(), channels.unwrap_or_default())
        })
        .collect();
    let infos =
        audios
            .iter()
            .zip(&numbers)
            .map(|((flow_id, pid, audio), (sample_rate, channels))| {
                let labels = [
                    ("flow_id", *flow_id),
                    ("pid", pid),
                    ("codec", &audio.codec),
                    ("sample_rate", sample_rate),
                    ("channels", channels),
                    ("language", known(audio.language.as_ref())),
                ];
                (labels, 1_i64)
            });
    page.family(
        "bilbycast_edge_media_audio_info",
        "Audio stream info",
        MetricType::Gauge,
        infos,
    )?;

    let video_rates = videos.iter().map(|(flow_id, pid, video)| {
        let labels = [("flow_id", *flow_id), ("pid", pid), ("type", "video")];
        (labels, count(video.bitrate_bps))
    });
    let audio_rates = audios.iter().map(|(flow_id, pid, audio)| {
        let labels = [("flow_id", *flow_id), ("pid", pid), ("type", "audio")];
        (labels, count(audio.bitrate_bps))
    });
    page.family(
        "bilbycast_edge_media_pid_bitrate_bps",
        "Per-PID bitrate in bits/sec",
        MetricType::Gauge,
        video_rates.chain(audio_rates),
    )?;
    let totals = flows
        .iter()
        .map(|(flow_id, detail)| ([("flow_id", *flow_id)], count(detail.total_bitrate_bps)));
    page.family(
        "bilbycast_edge_media_total_bitrate_bps",
        "Total TS bitrate in bits/sec",
        MetricType::Gauge,
        totals,
    )
}

/// Streams by PID: one that two programmes share would be two samples with the same labels.
fn once_each<T>(streams: &[T], pid: impl Fn(&T) -> u16) -> impl Iterator<Item = &T> {
    let mut seen = HashSet::new();
    streams
        .iter()
        .filter(move |stream| seen.insert(pid(stream)))
}

fn known(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}
