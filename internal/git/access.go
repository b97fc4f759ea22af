package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/internal/lazyregexp"
)

// Access is how git reaches a repository of others. Git runs nothing of what such a repository holds: no
// hooks, no filters, no submodules, and no local paths that it names.
type Access struct {
	// UserConfig: git reads the user's configuration, as a typed command does. Without it git sees neither
	// that nor the system's, and of the environment only the path, proxies and certificates.
	UserConfig bool
	// Environment is added to that of git's processes: it hands over credentials.
	Environment []string
	// Secrets are replaced in the text of errors.
	Secrets []string
	// Rejected is called when the server refused the credentials; nil: nothing is.
	Rejected func()
	// Time is how long one command may take; 0: 5 minutes.
	Time time.Duration
	// Size is how many bytes a mirror may have; 0: 1 GiB.
	Size int64
}

// The errors of a repository of others. Each wraps git's own text.
var (
	// ErrCredentials says that the server did not accept the credentials, or wants some.
	ErrCredentials = errors.New("the server refused the credentials")
	// ErrHostKey says that an SSH server is not the one that known_hosts names.
	ErrHostKey = errors.New("the host key is not the known one")
	// ErrNotFound says that the server does not have the repository, or hides it.
	ErrNotFound = errors.New("the server does not have the repository")
	// ErrUnreachable says that the server did not answer.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrCorrupt says that the mirror is damaged, or that what the server sent is.
	ErrCorrupt = errors.New("damaged objects")
	// ErrDisk says that this machine does not let git write.
	ErrDisk = errors.New("git cannot write its files")
	// ErrTooLarge says that the repository needs more than Access.Size.
	ErrTooLarge = errors.New("the repository is too large")
	// ErrTooSlow says that a command did not end within Access.Time, or that the server sends next to nothing.
	ErrTooSlow = errors.New("the server is too slow")
)

// faults are the kinds of failures, by what git and its transports write to stderr. The first match counts.
var faults = []struct {
	kind error
	text func() *regexp.Regexp
}{
	{ErrDisk, lazyregexp.New(`No space left on device|Disk quota exceeded|Read-only file system`)},
	{ErrHostKey, lazyregexp.New(`host key of|Host key verification failed`)},
	{ErrCredentials, lazyregexp.New(`Authentication failed|could not read (Username|Password)|` +
		`returned error: 40[13]|Permission denied \(|unable to authenticate|Access denied`)},
	{ErrNotFound, lazyregexp.New(`repository '.*' not found|not appear to be a git repository|` +
		`Repository not found|returned error: 404`)},
	{ErrTooSlow, lazyregexp.New(`Operation too slow|Operation timed out`)},
	{ErrUnreachable, lazyregexp.New(`Could not resolve|Failed to connect|Couldn't connect|` +
		`Connection refused|Connection reset|timed out|returned error: (5\d\d|429)|` +
		`Empty reply|RPC failed|early EOF|hung up|unexpected disconnect`)},
	{ErrCorrupt, lazyregexp.New(`corrupt|bad object|missing blob|unable to read|not a valid object|` +
		`invalid object|not a tree object|index-pack failed|inflate|packfile|bad tree|` +
		`not a git repository|unable to find|loose object|could not parse|bad config|` +
		`bad revision|object file .* is empty|did not send all`)},
}

// fault gives a failure of git its kind, and takes the secrets out of its text. A command that asked no
// server fails for what is on this machine.
func (a *Access) fault(failed *Error, remote bool) error {
	failed.Stderr = fewLines(failed.Stderr)
	for _, secret := range a.Secrets {
		if secret != "" {
			failed.Stderr = strings.ReplaceAll(failed.Stderr, secret, "***")
		}
	}
	for _, f := range faults {
		if f.text().MatchString(failed.Stderr) {
			if f.kind == ErrCredentials && a.Rejected != nil {
				a.Rejected()
			}
			return fmt.Errorf("%w: %w", f.kind, failed)
		}
	}
	if !remote {
		return fmt.Errorf("%w: %w", ErrCorrupt, failed)
	}
	return failed
}

// fewLines keeps the first lines that differ.
func fewLines(text string) string {
	const most = 4
	var few []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line != "" && !slices.Contains(few, line) && len(few) < most {
			few = append(few, line[:min(len(line), 300)])
		}
	}
	return strings.Join(few, "\n")
}

// kept are the variables that git's processes get from the agent's own.
var kept = []string{"PATH", "TMPDIR", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
	"no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_EXEC_PATH",
	"GIT_TEMPLATE_DIR", "SLIPWAY_CONFIG"}

func (a *Access) environment() []string {
	own := os.Environ()
	if !a.UserConfig {
		own = slices.DeleteFunc(own, func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return !slices.Contains(kept, name)
		})
		own = append(own, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "HOME="+os.DevNull)
	}
	return append(environment(own), a.Environment...)
}

// Self is the path of this program under the name that it was started with, for git to run.
func Self() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return filepath.Abs(path)
	}
	return os.Executable()
}

// settings are in force over every configuration file.
func (a *Access) settings(remote bool) []string {
	all := []string{
		"core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.fsmonitor=false", "core.symlinks=true",
		"protocol.file.allow=never", "protocol.ext.allow=never", "protocol.version=2",
		"transfer.fsckObjects=true", "fetch.recurseSubmodules=false", "submodule.recurse=false",
		"gc.auto=0", "maintenance.auto=false", "commit.gpgSign=false", "fetch.writeCommitGraph=false",
		"http.lowSpeedLimit=1000", "http.lowSpeedTime=30", "http.followRedirects=initial",
	}
	if !a.UserConfig {
		all = append(all, "credential.helper=")
	}
	if remote {
		all = append(all, "remote.origin.promisor=true", "remote.origin.partialCloneFilter=blob:none")
	}
	var args []string
	for _, s := range all {
		args = append(args, "-c", s)
	}
	return args
}

// maxSize is how large a mirror may be, unless Access says so.
const maxSize int64 = 1 << 30

// bounded ends a command that takes too long, or lets a directory grow too large. The cause of the context
// is why. The caller calls the function when the command has ended, or to end it for a reason of its own.
func (a *Access) bounded(ctx context.Context, dir string) (context.Context, context.CancelCauseFunc) {
	limit, size := cmp.Or(a.Time, 5*time.Minute), cmp.Or(a.Size, maxSize)
	ctx, cancel := context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("%w: not finished after %v", ErrTooSlow, limit))
	ctx, stop := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if used := sizeOf(dir); used > size {
					stop(fmt.Errorf("%w: more than %d MiB, the limit", ErrTooLarge, size>>20))
					return
				}
			}
		}
	}()
	return ctx, func(cause error) { stop(cause); cancel() }
}

// sizeOf is the size of the files below a directory, as far as they can be read.
func sizeOf(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // git removes files meanwhile
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size
}
