//! Did you mean: the known name that is nearest to one that is not.

/// The candidate nearest to `name` regardless of case, if one is near enough to be a slip of the fingers.
pub(crate) fn nearest<I, S>(name: &str, candidates: I) -> Option<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let wanted = name.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&wanted, &candidate.as_ref().to_lowercase());
            (distance, candidate)
        })
        // All names of one letter are near each other.
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.as_ref().chars().count())
        .min_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.as_ref().cmp(right.as_ref())))
        .map(|(_, candidate)| candidate.as_ref().to_string())
}

/// A hint that names the nearest candidate, or else the first few there are.
pub(crate) fn hint<I, S>(name: &str, candidates: I, what: &str) -> Option<String>
where
    I: IntoIterator<Item = S> + Clone,
    S: AsRef<str>,
{
    const SHOWN: usize = 10;
    if let Some(near) = nearest(name, candidates.clone()) {
        return Some(format!("did you mean \"{near}\"?"));
    }
    let mut names: Vec<String> = candidates.into_iter().map(|name| name.as_ref().to_string()).collect();
    if names.is_empty() {
        return None;
    }
    let more = if names.len() > SHOWN { ", …" } else { "" };
    names.truncate(SHOWN);
    Some(format!("{what}: {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        assert_eq!(nearest("nme", ["age", "Name", "id"]).as_deref(), Some("Name"));
        assert_eq!(nearest("dep_dealy", ["arr_delay", "dep_delay"]).as_deref(), Some("dep_delay"));
    }

    #[test]
    fn a_stranger_finds_nothing() {
        assert_eq!(nearest("xyz", ["carrier", "origin"]), None);
    }

    #[test]
    fn without_a_near_name_the_hint_lists_what_there_is() {
        assert_eq!(hint("xyz", ["a", "b"], "columns").as_deref(), Some("columns: a, b"));
        assert_eq!(hint("xyz", Vec::<String>::new(), "columns"), None);
    }
}
