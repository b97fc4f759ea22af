// Package git runs the git program: the state of a working tree, its history, commits and pushes. It never
// asks for a password. Reading changes neither the index nor the working tree.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/lazyregexp"
)

var (
	// ErrNone says that a directory is not in a Git repository.
	ErrNone = errors.New("no Git repository")
	// ErrNoProgram says that git is not installed.
	ErrNoProgram = errors.New("no git program in PATH")
)

// Error is a git command that failed, with its stderr.
type Error struct {
	Args   []string
	Code   int
	Stderr string
}

func (e *Error) Error() string {
	msg := strings.TrimSpace(e.Stderr)
	if msg == "" {
		msg = fmt.Sprintf("exit code %d", e.Code)
	}
	return fmt.Sprintf("git %s: %s", e.Args[0], msg)
}

// Repository is a Git working tree.
type Repository struct {
	// Dir is the absolute root of the working tree; of a bare repository, its directory.
	Dir string

	access *Access // see Mirror; nil: the user's own repository
}

// State is the state of a working tree.
type State struct {
	// Commit is the full hash; empty before the first commit.
	Commit string
	// Time is when the commit was made.
	Time time.Time
	// Branch is empty on a detached head.
	Branch string
	// Dirty: tracked files differ from the commit, or there are files that git neither tracks nor ignores.
	Dirty bool
	// Fingerprint identifies the content of a dirty tree: the same content on the same commit has the same
	// twelve digits. It does not include ignored files. Empty when clean.
	Fingerprint string
	// Changed are the files that make the tree dirty, relative to the root of the repository.
	Changed []string
	// Tags are the names of the tags on the commit.
	Tags []string
	// Remote is the URL of origin without credentials; empty when there is none, or when it is a path.
	Remote string
	// Identity is the last two parts of the path of origin, "acme/myapp", whatever its scheme and host: clones
	// by SSH and by HTTPS have the same, a fork has another. It is empty without an origin.
	Identity string
}

// Commit is one entry of the history.
type Commit struct {
	Hash    string    `json:"hash"`
	Author  string    `json:"author"`
	Email   string    `json:"email"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
}

// Open finds the repository that dir is in.
func Open(ctx context.Context, dir string) (Repository, error) {
	out, err := run(ctx, dir, "rev-parse", "--show-toplevel")
	var failed *Error
	switch {
	case errors.As(err, &failed) && strings.Contains(failed.Stderr, "not a git repository"):
		return Repository{}, fmt.Errorf("%w at %s", ErrNone, dir)
	case failed != nil && strings.Contains(failed.Stderr, "must be run in a work tree"): // it is bare
		out, err = run(ctx, dir, "rev-parse", "--absolute-git-dir")
	}
	if err != nil {
		return Repository{}, err
	}
	return Repository{Dir: filepath.FromSlash(strings.TrimSuffix(out, "\n"))}, nil
}

// State reads the state of the working tree. Files in except do not count as changes.
func (r Repository) State(ctx context.Context, except ...string) (State, error) {
	var s State
	changed, err := r.status(ctx, &s)
	if err != nil {
		return State{}, err
	}
	changed = slices.DeleteFunc(changed, func(name string) bool {
		info, err := os.Stat(filepath.Join(r.Dir, filepath.FromSlash(name)))
		return err == nil && slices.ContainsFunc(except, func(file string) bool {
			other, err := os.Stat(file)
			return err == nil && os.SameFile(info, other)
		})
	})
	if s.Commit != "" {
		if err := r.describe(ctx, &s, s.Commit); err != nil {
			return State{}, err
		}
	}
	s.Changed = changed
	if s.Dirty = len(changed) > 0; s.Dirty {
		if s.Fingerprint, err = fingerprint(ctx, r.Dir, s.Commit, changed); err != nil {
			return State{}, err
		}
	}
	err = r.readOrigin(ctx, &s)
	return s, err
}

// readOrigin reads where the repository is from.
func (r Repository) readOrigin(ctx context.Context, s *State) error {
	out, err := r.run(ctx, "config", "--get", "remote.origin.url")
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Code == 1 {
		return nil
	}
	address := strings.TrimSpace(out)
	s.Remote, s.Identity = WithoutCredentials(address), IdentityOf(address)
	return err
}

// IdentityOf returns State.Identity of the address of a repository.
func IdentityOf(address string) string {
	address = strings.TrimRight(strings.TrimSpace(address), "/")
	address = address[strings.LastIndex(address, "@")+1:]
	parts := strings.FieldsFunc(strings.TrimSuffix(address, ".git"), func(r rune) bool {
		return strings.ContainsRune(`/\:`, r)
	})
	return strings.ToLower(strings.Join(parts[max(0, len(parts)-2):], "/"))
}

// describe reads the commit of a revision, its time, and the tags on it.
func (r Repository) describe(ctx context.Context, s *State, revision string) error {
	out, err := r.run(ctx, "log", "-1", "--no-show-signature", "--decorate=full",
		"--decorate-refs=refs/tags/*", "--format=%H%n%ct%n%D", "--end-of-options", revision+"^{commit}", "--")
	if err != nil {
		return err
	}
	commit, rest, _ := strings.Cut(strings.TrimSpace(out), "\n")
	when, refs, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil {
		return fmt.Errorf("git log: time of %s: %w", revision, err)
	}
	s.Commit, s.Time = commit, time.Unix(seconds, 0).UTC()
	for _, ref := range strings.Split(refs, ", ") {
		if tag, ok := strings.CutPrefix(ref, "tag: refs/tags/"); ok {
			s.Tags = append(s.Tags, tag)
		}
	}
	slices.Sort(s.Tags)
	return nil
}

// status reads HEAD and the paths that differ from the commit.
func (r Repository) status(ctx context.Context, s *State) ([]string, error) {
	out, err := r.run(ctx, "status", "--porcelain=v2", "-z", "--branch", "--untracked-files=all",
		"--no-renames", "--ignore-submodules=none")
	if err != nil {
		return nil, err
	}
	return changed(out, s), nil
}

// changed parses the output of git status.
func changed(out string, s *State) []string {
	var changed []string
	for _, line := range strings.Split(out, "\x00") {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "#":
			if v, ok := strings.CutPrefix(rest, "branch.oid "); ok && v != "(initial)" {
				s.Commit = v
			}
			if v, ok := strings.CutPrefix(rest, "branch.head "); ok && v != "(detached)" {
				s.Branch = v
			}
		case "1": // XY sub mH mI mW hH hI path
			changed = append(changed, last(rest, 8))
		case "u": // XY sub m1 m2 m3 mW h1 h2 h3 path
			changed = append(changed, last(rest, 10))
		case "?":
			changed = append(changed, rest)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

// last returns the last of n fields, which may contain spaces.
func last(line string, n int) string {
	fields := strings.SplitN(line, " ", n)
	return fields[len(fields)-1]
}

// Recent returns the hashes of a commit and its first-parent ancestors, newest first, at most n.
func (r Repository) Recent(ctx context.Context, commit string, n int) ([]string, error) {
	out, err := r.run(ctx, "rev-list", "--first-parent", "--max-count="+strconv.Itoa(n),
		"--end-of-options", commit, "--")
	return strings.Fields(out), err
}

// Log lists the commits of to that from does not have, newest first; all of them when from is empty.
func (r Repository) Log(ctx context.Context, from, to string) ([]Commit, error) {
	if from != "" {
		return r.log(ctx, "--end-of-options", to, "^"+from)
	}
	return r.log(ctx, "--end-of-options", to)
}

// digits keeps input such as the label of an image from being read as another kind of revision.
var digits = lazyregexp.New(`^[0-9a-f]{7,64}$`)

// Find returns the commit of a hash; false when the repository does not have it, as in a shallow clone.
func (r Repository) Find(ctx context.Context, hash string) (Commit, bool) {
	if !digits().MatchString(hash) {
		return Commit{}, false
	}
	commits, err := r.log(ctx, "-1", "--end-of-options", hash+"^{commit}")
	if err != nil || len(commits) == 0 {
		return Commit{}, false
	}
	return commits[0], true
}

func (r Repository) log(ctx context.Context, args ...string) ([]Commit, error) {
	args = append([]string{"log", "-z", "--no-show-signature", "--no-color",
		"--format=%H%x1f%an%x1f%ae%x1f%ct%x1f%s"}, args...)
	out, err := r.run(ctx, append(args, "--")...)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for _, entry := range strings.Split(strings.Trim(out, "\x00\n"), "\x00") {
		f := strings.Split(entry, "\x1f")
		if len(f) < 5 {
			continue
		}
		seconds, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git log: time of %s: %w", f[0], err)
		}
		commits = append(commits, Commit{Hash: f[0], Author: f[1], Email: f[2], Time: time.Unix(seconds, 0).UTC(),
			Subject: strings.Join(f[4:], "\x1f")})
	}
	return commits, nil
}

// WithoutCredentials removes credentials from a URL. It returns nothing for a path on this machine.
func WithoutCredentials(remote string) string {
	if u, err := url.Parse(remote); err == nil && u.Scheme != "" && u.Host != "" {
		if u.Scheme == "ssh" && u.User != nil {
			u.User = url.User(u.User.Username())
		} else {
			u.User = nil
		}
		u.RawQuery, u.Fragment = "", ""
		return u.String()
	}
	host, path, ok := strings.Cut(remote, ":")
	if !ok || path == "" || strings.ContainsAny(host, "/\\") || len(host) == 1 || strings.HasPrefix(path, "//") {
		return ""
	}
	return remote // git@github.com:acme/myapp.git
}

// run runs git in dir and returns its stdout.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	return command{dir: dir}.run(ctx, args...)
}

// run runs git in the repository's directory and returns its stdout.
func (r Repository) run(ctx context.Context, args ...string) (string, error) {
	return command{dir: r.Dir, access: r.access}.run(ctx, args...)
}

// runRemote is run for a command that may ask the server for objects that a mirror lacks.
func (r Repository) runRemote(ctx context.Context, args ...string) (string, error) {
	return command{dir: r.Dir, access: r.access, remote: true}.run(ctx, args...)
}

// command is one run of git.
type command struct {
	dir string
	// env are additional environment variables.
	env    []string
	stdin  io.Reader
	access *Access // nil: the user's own repository
	// remote: a mirror's command may ask the server. Others fail for an object that is not here: git 2.39 asks
	// for a damaged one without end.
	remote bool
}

// run returns git's stdout.
func (c command) run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := c.stream(ctx, &out, args...)
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// stream writes git's stdout.
func (c command) stream(ctx context.Context, out io.Writer, args ...string) error {
	// A repository can name a program that status runs; reading must not run it.
	settings, env := []string{"-c", "core.fsmonitor=false"}, environment(os.Environ())
	stderr := &messages{}
	if c.access != nil {
		settings, env = c.access.settings(c.remote), c.access.environment()
		var end context.CancelCauseFunc
		ctx, end = c.access.bounded(ctx, c.dir)
		defer end(nil)
		stderr.full = func() { end(c.access.fault(&Error{Args: args, Stderr: stderr.String()}, c.remote)) }
	}
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout = c.dir, c.stdin, out
	cmd.Env = append(env, c.env...)
	cmd.WaitDelay = time.Second
	if c.access != nil {
		asGroup(cmd)
		cmd.WaitDelay = time.Minute // a reader may be slower than git
	}
	cmd.Stderr = stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("git %s: %w", args[0], context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return ErrNoProgram
	case errors.As(err, &exit):
		failed := &Error{Args: args, Code: exit.ExitCode(), Stderr: stderr.String()}
		if c.access != nil {
			return c.access.fault(failed, c.remote)
		}
		return failed
	}
	return fmt.Errorf("git %s: %w", args[0], err)
}

// messages keeps what git writes to stderr. More than maxMessages is the same over and over.
type messages struct {
	bytes.Buffer
	full func() // nil: unlimited
}

const maxMessages = 64 << 10

func (m *messages) Write(p []byte) (int, error) {
	if m.full == nil || m.Len() < maxMessages {
		m.Buffer.Write(p)
		if m.full != nil && m.Len() >= maxMessages {
			m.full()
		}
	}
	return len(p), nil
}

// environment returns the user's environment without the variables that a calling hook sets for its own
// repository.
func environment(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX",
			"GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}, name)
	})
	return append(env, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "LANGUAGE=C")
}
