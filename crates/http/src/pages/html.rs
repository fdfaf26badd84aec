//! Pages of HTML that ask nobody else for anything: style and script stand in the page, and the browser is told to run these and
//! no others.

use crate::answer::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What a page is made of. Only `body` may hold what was not written here, and it has to be escaped.
pub(super) struct Html<'a> {
    pub(super) title: &'a str,
    pub(super) style: &'a str,
    pub(super) script: &'a str,
    pub(super) body: &'a str,
}

/// A page, its text and the policy that goes with it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    text: String,
    policy: String,
}

/// A sheet with two ticked lines.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' \
    height='16' rx='3.5' fill='%230b6b5d'/%3E%3Cpath d='M3.5 5l1 1 1.7-2M8 5h4.5M3.5 11l1 1 1.7-2M8 11h4.5' stroke='%23fff' \
    stroke-width='1.3' fill='none' stroke-linecap='round'/%3E%3C/svg%3E";

impl Page {
    pub(super) fn new(html: &Html<'_>) -> Self {
        let Html { title, style, script, body } = html;
        let text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"{ICON}\">\n<style>{style}</style>\n</head>\n<body>\n{body}\n\
             <script>{script}</script>\n</body>\n</html>\n",
            title = escape(title),
        );
        let hash = |source: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source.as_bytes())));
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(style),
            hash(script),
        );
        Self { text, policy }
    }

    pub(super) fn into_answer(self) -> Answer {
        Answer::text("text/html; charset=utf-8", self.text)
            .with("content-security-policy", &self.policy)
            .with("referrer-policy", "no-referrer")
    }
}

/// A text that means itself in HTML, also inside of an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<a href=\"x\">&'</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_of_the_page() {
        let page = Page::new(&Html { title: "t", style: "a{}", script: "1", body: "" });
        // printf 1 | openssl dgst -sha256 -binary | base64
        assert!(
            page.policy.contains("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"),
            "{}",
            page.policy
        );
        assert!(page.text.contains("<script>1</script>") && page.text.contains("<style>a{}</style>"));
    }
}
