//! The language of messages.

/// English or Chinese.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

impl Language {
    /// From a header's text: `en` and `en-…` in any case are English, everything else Chinese (`gateway` 9.1).
    pub fn of(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        if text == "en" || text.starts_with("en-") { Self::English } else { Self::Chinese }
    }

    /// The text of this language.
    pub fn pick<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}
