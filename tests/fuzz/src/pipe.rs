//! Any bytes as what operator and evaluating child say to each other: the first byte decides who reads it. PURE.

use igw::policy::{
    failure::clean,
    limits,
    protocol::{Report, Request},
};

/// What can be read is within bounds, and written again it reads the same.
pub(crate) fn run(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    if first % 2 == 0 {
        if let Ok(request) = Request::read(bytes) {
            assert_eq!(&request.frame()[4..], bytes, "a request can be written in one way");
        }
        return;
    }
    let Ok(report) = Report::read(bytes) else { return };
    assert_eq!(Report::read(&report.frame()[4..]).as_ref(), Ok(&report));
    assert!(report.log.len() <= limits::LOG_LINES);
    for line in &report.log {
        assert!(line.text.len() <= limits::LOG_LINE && clean(&line.text, limits::LOG_LINE) == line.text, "{line:?}");
    }
    match &report.result {
        Ok(output) => assert!(output.objects.len() <= limits::OBJECTS && output.len() <= bytes.len()),
        Err(failure) => assert!(failure.message.len() <= limits::MESSAGE, "{failure}"),
    }
}
