//! The page for the people on shift, and the files that it consists of. It needs nothing but this node: media networks
//! are isolated.
//!
//! The page is served in two places. On the API's own port it can change what runs, for those who may; on the monitor
//! port (configuration.md 3.4) it only shows.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};

/// Where the page is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// With the API, at `/`.
    Api,
    /// On the monitor port, which only shows.
    Monitor,
}

/// One file of the page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asset {
    /// Its name below `/dashboard/`; empty for the page itself.
    pub name: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// The file.
    pub text: String,
    /// A tag that changes with the content (RFC 9110 8.8.3), quotation marks included.
    pub etag: String,
}

/// The page itself.
#[must_use]
pub fn page(surface: Surface) -> &'static Asset {
    static API: LazyLock<Asset> = LazyLock::new(|| Asset::new("", HTML, PAGE.to_owned()));
    static MONITOR: LazyLock<Asset> =
        LazyLock::new(|| Asset::new("", HTML, PAGE.replacen(AS_API, AS_MONITOR, 1)));
    match surface {
        Surface::Api => &API,
        Surface::Monitor => &MONITOR,
    }
}

/// The file of this name; `None` when the page has none.
#[must_use]
pub fn asset(name: &str) -> Option<&'static Asset> {
    assets().iter().find(|asset| asset.name == name)
}

/// All files but the page itself.
#[must_use]
pub fn assets() -> &'static [Asset] {
    static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
        let files = FILES.iter();
        files
            .map(|(name, text)| {
                let is_style = name.ends_with(".css");
                Asset::new(
                    name,
                    if is_style { CSS } else { SCRIPT },
                    (*text).to_owned(),
                )
            })
            .collect()
    });
    &ASSETS
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, text: String) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        let hash = &hash.as_ref()[..ETAG_BYTES];
        let tag: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            name,
            content_type,
            text,
            // Weak, for the same tag goes with the compressed form.
            etag: format!("W/\"{tag}\""),
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Bytes of a hash that make a tag: enough for two versions never to have the same.
const ETAG_BYTES: usize = 12;

const PAGE: &str = include_str!("../web/dashboard/index.html");

/// What the page is told about where it is served.
const AS_API: &str = r#"data-surface="api""#;
const AS_MONITOR: &str = r#"data-surface="monitor""#;

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../web/dashboard/", $name)))),*]
    };
}

const FILES: [(&str, &str); 16] = files!(
    "actions.js" "alarms.js" "api.js" "detail.js" "dom.js" "events.js" "flow.js" "forms.js" "format.js"
    "history.js" "live.js" "main.js" "overview.js" "plot.js" "style.css" "theme.js"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_where_it_is_served() {
        assert_eq!(PAGE.matches(AS_API).count(), 1);
        assert!(page(Surface::Monitor).text.contains(AS_MONITOR));
        assert!(!page(Surface::Monitor).text.contains(AS_API));
        assert_ne!(page(Surface::Monitor).etag, page(Surface::Api).etag);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_script_stands_in_the_page() {
        let page = page(Surface::Api);
        for asset in assets().iter().chain([page]) {
            for outside in ["http://", "https://", "url(", "@import \"", "//cdn"] {
                // The one namespace that browsers want spelled out is not loaded.
                let text = asset.text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(outside), "{}: {outside}", asset.name);
            }
            for unsafe_sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(
                    !asset.text.contains(unsafe_sink),
                    "{}: {unsafe_sink}",
                    asset.name
                );
            }
        }
        for inline in ["onclick=", "onload=", "onerror=", "javascript:"] {
            assert!(!page.text.contains(inline), "{inline}");
        }
        assert!(!page.text.contains("<style") && !page.text.contains("style="));
        assert!(page.text.matches("<script").count() == 1);
    }

    #[test]
    fn every_module_that_is_imported_is_there() {
        for asset in assets() {
            for import in asset.text.split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap_or_default();
                assert!(
                    super::asset(name).is_some(),
                    "{} imports {name}",
                    asset.name
                );
            }
        }
    }
}
