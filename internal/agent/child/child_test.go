package child

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		if err := Serve(context.Background(), os.Args[2:], os.Stdin, os.Stdout, handle); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// held is what a task keeps, so that its process runs out of memory.
var held [][]byte

func handle(_ context.Context, task json.RawMessage, ask func(question, answer any) error) (any, bool) {
	var what string
	if err := json.Unmarshal(task, &what); err != nil {
		return err.Error(), true
	}
	switch what {
	case "memory":
		for {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			held = append(held, b)
		}
	case "endless":
		for {
			_ = strings.Repeat("x", 10)
		}
	case "panic":
		panic("on purpose") // the agent must survive it
	case "exit":
		os.Exit(3)
	case "garbage":
		os.Stdout.WriteString("no JSON\n")
	case "ask":
		var answer string
		if err := ask("how", &answer); err != nil {
			return err.Error(), false
		}
		return answer, false
	case "last":
		return os.Getpid(), true
	}
	return os.Getpid(), false
}

// A task that breaks its limits or its process gives an error that says so, and the next one is done.
func TestLimits(t *testing.T) {
	p := &Pool{Memory: 256 << 20, Time: 10 * time.Second}
	for name, want := range map[string]string{
		"memory": "more than 256 MiB of memory, the limit", "panic": "exit status 2: panic: on purpose",
		"exit": "the process ended: exit status 3", "garbage": "invalid character",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Do(t.Context(), name, nil)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v", err)
			}
			if _, err := p.Do(t.Context(), "pid", nil); err != nil {
				t.Errorf("the next task: %v", err)
			}
		})
	}
	short := &Pool{Time: 300 * time.Millisecond}
	var limit *LimitError
	if _, err := short.Do(t.Context(), "endless", nil); !errors.As(err, &limit) || limit.Time == 0 {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Do(ctx, "endless", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A process does several tasks, until one says that it is the last.
func TestReuse(t *testing.T) {
	p := &Pool{}
	pid := func(task string) string {
		answer, err := p.Do(t.Context(), task, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	first := pid("pid")
	if again := pid("pid"); again != first {
		t.Errorf("another process did the second task")
	}
	if last := pid("last"); last != first {
		t.Errorf("another process did the last task")
	}
	if after := pid("pid"); after == first {
		t.Errorf("the process did a task after its last")
	}
}

// A process that was started before its task does it, and one is enough.
func TestWarm(t *testing.T) {
	p := &Pool{}
	p.Warm()
	p.Warm()
	if len(p.idle) != 1 {
		t.Fatalf("%d processes are idle", len(p.idle))
	}
	want := strconv.Itoa(p.idle[0].cmd.Process.Pid)
	if got, err := p.Do(t.Context(), "pid", nil); err != nil || string(got) != want {
		t.Errorf("process %s did the task, not %s (%v)", got, want, err)
	}
}

// Tasks run side by side, and each gets the answers to its own questions.
func TestAsk(t *testing.T) {
	p := &Pool{}
	var work sync.WaitGroup
	for _, answer := range []string{"a", "b", "c", "d"} {
		work.Go(func() {
			got, err := p.Do(t.Context(), "ask", func(q json.RawMessage) (any, error) {
				return answer + string(q), nil
			})
			if want := `"` + answer + `\"how\""`; err != nil || string(got) != want {
				t.Errorf("%s %v", got, err)
			}
		})
	}
	work.Wait()
	got, err := p.Do(t.Context(), "ask", func(json.RawMessage) (any, error) { return nil, errors.New("no") })
	if err != nil || string(got) != `"no"` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := p.Do(t.Context(), "ask", nil); err != nil || string(got) != `"the agent answers no questions of this task"` {
		t.Errorf("%s %v", got, err)
	}
}
