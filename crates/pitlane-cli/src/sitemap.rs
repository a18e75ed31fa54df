//! Reads sitemaps: as much XML as these need, from anybody, so it is total and bounded.

/// A sitemap has no more pages (sitemaps.org), nor does an index have more sitemaps.
const MOST: usize = 50_000;

/// The longest name of a character, as in `&#x10ffff;`.
const LONGEST_NAME: usize = 8;

/// What a sitemap says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sitemap {
    /// Whether its URLs are those of other sitemaps.
    pub(crate) is_index: bool,
    /// What it names, at most 50,000.
    pub(crate) urls: Vec<String>,
}

/// Reads a sitemap or an index of sitemaps. What is neither names nothing.
pub(crate) fn read(text: &str) -> Sitemap {
    let mut sitemap = Sitemap::default();
    let mut prefix = "";
    let mut rest = text;
    while let Some((tag, behind)) = next_tag(rest) {
        rest = behind;
        let (space, name) = tag.rsplit_once(':').map_or(("", tag), |split| split);
        match name {
            "urlset" => prefix = space,
            "sitemapindex" => {
                sitemap.is_index = true;
                prefix = space;
            }
            // Pictures and videos have places of their own, under other names.
            "loc" if space == prefix => {
                let (url, behind) = content(rest);
                rest = behind;
                let url = url.trim();
                if !url.is_empty() && sitemap.urls.len() < MOST {
                    sitemap.urls.push(url.to_owned());
                }
            }
            _ => {}
        }
    }
    sitemap
}

/// The name of the next element that begins, and what is behind it.
fn next_tag(mut rest: &str) -> Option<(&str, &str)> {
    loop {
        let (_, behind) = rest.split_once('<')?;
        rest = if let Some(comment) = behind.strip_prefix("!--") {
            comment.split_once("-->")?.1
        } else if behind.starts_with(['!', '?', '/']) {
            behind.split_once('>')?.1
        } else {
            let (tag, behind) = behind.split_once('>')?;
            let tag = tag.trim_end_matches('/');
            let name = tag.split(char::is_whitespace).next().unwrap_or(tag);
            return Some((name, behind));
        };
    }
}

/// The text up to the end of an element, and what is behind it.
fn content(mut rest: &str) -> (String, &str) {
    let mut out = String::new();
    loop {
        let Some(at) = rest.find('<') else {
            return (out, "");
        };
        let (text, behind) = rest.split_at(at);
        unescape(text, &mut out);
        if let Some(data) = behind.strip_prefix("<![CDATA[") {
            let (data, behind) = data.split_once("]]>").unwrap_or((data, ""));
            out.push_str(data);
            rest = behind;
        } else {
            return (out, behind);
        }
    }
}

fn unescape(mut text: &str, out: &mut String) {
    while let Some((before, behind)) = text.split_once('&') {
        out.push_str(before);
        // No name is longer: whoever writes only ampersands is not read to the end for each.
        let end = behind
            .bytes()
            .take(LONGEST_NAME + 1)
            .position(|byte| byte == b';');
        let named = end.and_then(|end| Some((behind.get(..end)?, behind.get(end + 1..)?)));
        let (character, rest) = match named {
            Some((name, rest)) => (entity(name), rest),
            None => (None, behind),
        };
        match character {
            Some(character) => {
                out.push(character);
                text = rest;
            }
            None => {
                out.push('&');
                text = behind;
            }
        }
    }
    out.push_str(text);
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_index: bool, urls: &[&str]) {
        let found = read(text);
        assert_eq!(
            (found.is_index, &*found.urls),
            (
                is_index,
                &*urls.iter().map(ToString::to_string).collect::<Vec<_>>()
            )
        );
    }

    #[test]
    fn pages_of_a_sitemap_are_read_with_their_escapes() {
        let text = "<?xml version=\"1.0\"?><!-- <loc>no</loc> --><urlset xmlns=\"x\"><url>\
                    <loc>\n http://a/?p=1&amp;q=&#x32; </loc><lastmod>2026</lastmod></url>\
                    <url><loc><![CDATA[http://b/<&>]]></loc></url></urlset>";
        check(text, false, &["http://a/?p=1&q=2", "http://b/<&>"]);
    }

    #[test]
    fn an_index_names_sitemaps_and_pictures_are_no_pages() {
        let index = "<s:sitemapindex><s:sitemap><s:loc>http://a/1.xml</s:loc></s:sitemap>";
        check(index, true, &["http://a/1.xml"]);
        let pictures = "<urlset><url><loc>http://a/</loc><image:image><image:loc>http://a/x.png\
                        </image:loc></image:image></url></urlset>";
        check(pictures, false, &["http://a/"]);
    }

    #[test]
    fn anything_at_all_is_read_to_its_end() {
        for text in [
            "",
            "<",
            "<loc",
            "<loc>",
            "<loc>a",
            "<loc>&",
            "<loc>&amp",
            "<loc><![CDATA[a",
            "<!--",
            "<urlset><loc>&#xffffffff;</loc>",
            "</loc>",
            "<loc/><loc></loc>",
            "not xml & at > all",
        ] {
            let _ = read(text);
        }
        check("<urlset><loc>&bad; & x</loc>", false, &["&bad; & x"]);
        let hostile = format!("<urlset><loc>{}</loc>", "&".repeat(4 << 20));
        assert_eq!(read(&hostile).urls.len(), 1);
        let many = format!("<urlset>{}", "<loc>/a</loc>".repeat(60_000));
        assert_eq!(read(&many).urls.len(), MOST);
    }
}
