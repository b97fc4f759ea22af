// Package child runs tasks in other processes of this program, with limits on their memory and time: what a
// repository of others makes a task do costs that task alone. Tasks and answers are JSON.
package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Arg is the hidden first argument with which this binary does tasks. main passes the other arguments to
// Serve.
const Arg = "agent-child"

// ErrDied says that the process of a task has ended before its answer.
var ErrDied = errors.New("the process ended")

// LimitError says that a task needed more memory or time than it may have. The other field is 0.
type LimitError struct {
	Memory int64
	Time   time.Duration
}

func (e *LimitError) Error() string {
	if e.Time > 0 {
		return fmt.Sprintf("not finished after %v, the limit", e.Time)
	}
	return fmt.Sprintf("more than %d MiB of memory, the limit", e.Memory>>20)
}

// Pool starts processes as tasks need them: at most one for each processor. An idle one ends after a while.
type Pool struct {
	// Memory is how much a process may use beyond what it has at its start; 0: 1 GiB.
	Memory int64
	// Time is how long a task may take; 0: 2 minutes.
	Time time.Duration

	once  sync.Once
	slots chan struct{}
	mu    sync.Mutex
	idle  []*process
}

// AskFunc answers a question that a task has while it runs.
type AskFunc func(question json.RawMessage) (answer any, err error)

// message is one line between the processes. From here: a Task, or the Reply to an Ask. From there: an Ask or
// an Answer.
type message struct {
	Task   json.RawMessage `json:"task,omitempty"`
	Ask    json.RawMessage `json:"ask,omitempty"`
	Reply  json.RawMessage `json:"reply,omitempty"`
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
	// Last: the process does no further task.
	Last bool `json:"last,omitempty"`
}

const (
	idleTime  = 5 * time.Second
	maxStderr = 8 << 10
)

// Do does a task in another process and returns the answer.
func (p *Pool) Do(ctx context.Context, task any, ask AskFunc) (json.RawMessage, error) {
	p.once.Do(func() { p.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	limit := p.Time
	if limit == 0 {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &LimitError{Time: limit})
	defer cancel()
	c, err := p.take()
	if err != nil {
		return nil, err
	}
	answer, last, err := c.converse(ctx, text, ask)
	if err != nil {
		return nil, c.end(ctx, err)
	}
	if last {
		c.stop()
	} else {
		p.give(c)
	}
	return answer, nil
}

// Warm starts a process for the next task, unless one is idle: until a process can do something, it needs as
// long as a small task. Where it cannot be started, that task says why.
func (p *Pool) Warm() {
	p.mu.Lock()
	isIdle := len(p.idle) > 0
	p.mu.Unlock()
	if isIdle {
		return
	}
	if c, err := start(p.memory()); err == nil {
		p.give(c)
	}
}

// memory is how much a process may use.
func (p *Pool) memory() int64 {
	if p.Memory == 0 {
		return 1 << 30
	}
	return p.Memory
}

// take returns an idle process, or starts one.
func (p *Pool) take() (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.timer.Stop() {
			return c, nil
		}
	}
	return start(p.memory())
}

func (p *Pool) give(c *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
	c.timer = time.AfterFunc(idleTime, func() {
		p.mu.Lock()
		for i := range p.idle {
			if p.idle[i] == c {
				p.idle = append(p.idle[:i], p.idle[i+1:]...)
				break
			}
		}
		p.mu.Unlock()
		c.stop()
	})
}

// process is one process that does tasks.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	stderr *head
	memory int64
	timer  *time.Timer // while it is idle
}

func start(memory int64) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &process{cmd: exec.Command(path, Arg, strconv.FormatInt(memory, 10)), stderr: &head{}, memory: memory}
	c.cmd.Args[0] = os.Args[0]
	c.cmd.Stderr = c.stderr
	c.cmd.WaitDelay = time.Second
	attach(c.cmd)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	return c, nil
}

// converse sends a task and answers questions until the answer comes.
func (c *process) converse(ctx context.Context, task json.RawMessage, ask AskFunc) (
	answer json.RawMessage, last bool, err error,
) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	// A decoder keeps its buffer, which has grown to the size of the answer. The process writes nothing unasked.
	to, from := json.NewEncoder(c.in), json.NewDecoder(c.out)
	if err := to.Encode(message{Task: task}); err != nil {
		return nil, false, err
	}
	for {
		var m message
		if err := from.Decode(&m); err != nil {
			return nil, false, err
		}
		if m.Ask == nil {
			return m.Answer, m.Last, nil
		}
		var reply message
		if ask == nil {
			reply.Error = "the agent answers no questions of this task"
		} else if v, err := ask(m.Ask); err != nil {
			reply.Error = err.Error()
		} else if reply.Reply, err = json.Marshal(v); err != nil {
			reply.Error = err.Error()
		}
		if err := to.Encode(reply); err != nil {
			return nil, false, err
		}
	}
}

// end ends a process that failed, and says why it did.
func (c *process) end(ctx context.Context, err error) error {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	waited := c.cmd.Wait()
	text := c.stderr.String()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(text, "out of memory"), strings.Contains(text, "cannot allocate memory"):
		return &LimitError{Memory: c.memory}
	case !errors.As(err, new(*json.SyntaxError)) && errors.As(waited, new(*exec.ExitError)):
		first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
		return fmt.Errorf("%w: %v: %s", ErrDied, waited, first)
	}
	return fmt.Errorf("%w: %w", ErrDied, err)
}

// stop ends an idle process.
func (c *process) stop() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:min(len(p), max(0, maxStderr-h.text.Len()))])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}
