//! Bodies: JSON, or a form with `payload_json` and files.

use serde_json::Value;

/// A file that was sent along.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

pub(super) fn read(content_type: &str, body: &[u8]) -> (Value, Vec<File>) {
    let Some(boundary) = content_type
        .strip_prefix("multipart/form-data")
        .and_then(|rest| rest.split("boundary=").nth(1))
    else {
        return (serde_json::from_slice(body).unwrap_or_default(), Vec::new());
    };
    let boundary = boundary.trim().trim_matches('"');
    let mut json = Value::Null;
    let mut files = Vec::new();
    for part in split(body, format!("--{boundary}").as_bytes()) {
        let Some(at) = find(part, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(part.get(..at).unwrap_or_default()).into_owned();
        let content = part.get(at + 4..).unwrap_or_default();
        let content = content.strip_suffix(b"\r\n").unwrap_or(content);
        let parameter = |name: &str| -> Option<String> {
            let after = head.split(&format!("; {name}=")).nth(1)?;
            let value = after.split(['\r', ';']).next()?;
            Some(value.trim().trim_matches('"').to_owned())
        };
        let field = parameter("name").unwrap_or_default();
        match parameter("filename") {
            None if field == "payload_json" => {
                json = serde_json::from_slice(content).unwrap_or_default();
            }
            None => {}
            Some(name) => files.push(File {
                name,
                bytes: content.to_vec(),
            }),
        }
    }
    (json, files)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn split<'b>(mut bytes: &'b [u8], boundary: &[u8]) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = find(bytes, boundary) {
        parts.push(bytes.get(..at).unwrap_or_default());
        bytes = bytes.get(at + boundary.len()..).unwrap_or_default();
    }
    parts
}

/// A segment of a path as it was meant.
pub(super) fn percent_decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = segment
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_json_and_its_files() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a.md\"\r\nContent-Type: text/markdown\r\n\r\nhello\r\n--xyz\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{\"content\":\"x\"}\r\n--xyz--\r\n";
        let (json, files) = read("multipart/form-data; boundary=xyz", body);
        assert_eq!(json["content"], "x");
        assert_eq!(files.len(), 1);
        assert_eq!(
            (files[0].name.as_str(), &files[0].bytes[..]),
            ("a.md", &b"hello"[..])
        );
    }
}
