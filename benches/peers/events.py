"""Makes GitHub-event-like nested JSON lines: ten gzip files and one of the same total size.

    python3 benches/peers/events.py data/events

Each file has 127 MB of text (--megabytes): events with actor, repo and a payload that depends on the type: lists of
commits, issues with labels and comments, releases. Strings hold escapes and other than ASCII. The same every time.
"""

import argparse
import contextlib
import gzip
import json
import pathlib
import random
import shutil

TYPES = [("PushEvent", 50), ("CreateEvent", 12), ("IssueCommentEvent", 10), ("WatchEvent", 9), ("PullRequestEvent", 7),
         ("IssuesEvent", 5), ("ForkEvent", 3), ("DeleteEvent", 2), ("ReleaseEvent", 1), ("GollumEvent", 1)]
WORDS = ("add fix test build merge branch master update remove parser scanner cache memory thread index query table row "
         "column value error warning release version docs readme typo refactor cleanup support initial commit support "
         "for when the of in to and with from größe été naïve 日本語").split()


def sentence(rng, least, most):
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))


def text(rng, least, most):
    """Lines of text as JSON writes it."""
    lines = [sentence(rng, 3, 12) for _ in range(rng.randint(least, most))]
    return json.dumps("\r\n".join(lines) + (' "quoted" \\path\\' if rng.random() < 0.2 else ""), ensure_ascii=rng.random() < 0.5)


def sha(rng):
    return f"{rng.getrandbits(160):040x}"


def user(rng, number):
    name = f"user{number}"
    return (f'{{"id":{number * 37 + 11},"login":"{name}","gravatar_id":"","url":"https://api.github.com/users/{name}",'
            f'"avatar_url":"https://avatars.githubusercontent.com/u/{number * 37 + 11}?"}}')


def commit(rng, repo, number):
    key = sha(rng)
    return (f'{{"sha":"{key}","author":{{"email":"{sha(rng)}@example.org","name":"User {number}"}},'
            f'"message":{text(rng, 1, 2)},"distinct":{rng.choice(("true", "false"))},'
            f'"url":"https://api.github.com/repos/{repo}/commits/{key}"}}')


def issue(rng, repo, number):
    labels = ",".join(f'{{"url":"https://api.github.com/repos/{repo}/labels/{word}","name":"{word}","color":"{rng.getrandbits(24):06x}"}}'
                      for word in rng.sample(("bug", "feature", "question", "docs", "wontfix"), rng.randint(0, 3)))
    return (f'{{"url":"https://api.github.com/repos/{repo}/issues/{number}","id":{number * 7919},"number":{number},'
            f'"title":{text(rng, 1, 1)},"user":{user(rng, rng.randrange(20000))},"labels":[{labels}],"state":"open",'
            f'"locked":false,"assignee":null,"milestone":null,"comments":{rng.randrange(40)},'
            f'"created_at":"2014-1{rng.randrange(3)}-0{rng.randint(1, 9)}T0{rng.randrange(10)}:00:00Z","closed_at":null,"body":{text(rng, 1, 8)}}}')


def payload(rng, kind, repo):
    if kind == "PushEvent":
        count = min(int(rng.expovariate(0.6)) + 1, 20)
        commits = ",".join(commit(rng, repo, rng.randrange(20000)) for _ in range(count))
        return (f'{{"push_id":{rng.randrange(10**9)},"size":{count},"distinct_size":{count},"ref":"refs/heads/master",'
                f'"head":"{sha(rng)}","before":"{sha(rng)}","commits":[{commits}]}}')
    if kind in ("IssueCommentEvent", "IssuesEvent", "PullRequestEvent"):
        number = rng.randrange(1, 5000)
        comment = f',"comment":{{"id":{rng.randrange(10**9)},"user":{user(rng, rng.randrange(20000))},"body":{text(rng, 1, 10)}}}'
        return f'{{"action":"created","issue":{issue(rng, repo, number)}{comment if kind == "IssueCommentEvent" else ""}}}'
    if kind == "ReleaseEvent":
        return f'{{"action":"published","release":{{"id":{rng.randrange(10**7)},"tag_name":"v{rng.randrange(9)}.{rng.randrange(20)}","draft":false,"assets":[]}}}}'
    if kind == "WatchEvent":
        return '{"action":"started"}'
    if kind == "ForkEvent":
        return f'{{"forkee":{{"id":{rng.randrange(10**8)},"name":"{repo}","private":false,"size":{rng.random() * 1e4:.2f}}}}}'
    if kind == "GollumEvent":
        return f'{{"pages":[{{"page_name":"Home","title":"Home","summary":null,"action":"edited","sha":"{sha(rng)}"}}]}}'
    return f'{{"ref":"feature-{rng.randrange(1000)}","ref_type":"branch","master_branch":"master","description":{text(rng, 1, 1)},"pusher_type":"user"}}'


def events(seed, wanted):
    """Lines of about `wanted` bytes in all."""
    rng = random.Random(seed)
    kinds, weights = zip(*TYPES)
    done, number = 0, seed * 10**8
    while done < wanted:
        kind = rng.choices(kinds, weights)[0]
        actor = min(int(rng.expovariate(1 / 3000)), 19999)
        repo_number = min(int(rng.expovariate(1 / 5000)), 29999)
        repo = f"user{repo_number % 20000}/project-{repo_number}"
        number += rng.randint(1, 9)
        second = done * 3600 // wanted
        org = f',"org":{user(rng, 20000 + repo_number % 100)}' if repo_number % 4 == 0 else ""
        line = (f'{{"id":"{number}","type":"{kind}","actor":{user(rng, actor)},"repo":{{"id":{repo_number},"name":"{repo}",'
                f'"url":"https://api.github.com/repos/{repo}"}},"payload":{payload(rng, kind, repo)},"public":true,'
                f'"created_at":"2015-01-01T{seed:02}:{second // 60:02}:{second % 60:02}Z"{org}}}\n').encode()
        done += len(line)
        yield line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--megabytes", type=int, default=127, help="of text in each of the ten files")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    parts = [options.directory / f"events-{hour}.json.gz" for hour in range(10)]
    for hour, path in enumerate(parts):
        with whole_or_none(path) as part:
            if part:
                write(part, events(hour, options.megabytes * 10**6))
    with whole_or_none(options.directory / "all.json.gz") as whole:
        if whole:
            for path in parts:
                with gzip.open(path) as part:
                    shutil.copyfileobj(part, whole, 1 << 20)


@contextlib.contextmanager
def whole_or_none(path):
    """A compressed file that appears under its name when it is whole; None where it is there already."""
    if path.exists():
        yield None
        return
    begun = path.with_name(path.name + ".part")
    with gzip.open(begun, "wb", 6) as file:
        yield file
    begun.rename(path)


def write(file, lines):
    batch = []
    for line in lines:
        batch.append(line)
        if len(batch) == 1000:
            file.write(b"".join(batch))
            batch.clear()
    file.write(b"".join(batch))


if __name__ == "__main__":
    main()
