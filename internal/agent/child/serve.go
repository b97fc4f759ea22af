package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
)

// Handler does one task. With ask it asks the process that has sent it. Where last is true, no further task
// comes: this one may have left something running.
type Handler func(ctx context.Context, task json.RawMessage, ask func(question, answer any) error) (
	answer any, last bool,
)

// Serve does the tasks that come from in until it ends. The first argument is the memory that the process may
// use from now on, in bytes.
func Serve(ctx context.Context, args []string, in io.Reader, out io.Writer, handle Handler) error {
	if len(args) != 1 {
		return errors.New("want the memory limit as the only argument")
	}
	memory, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	// The collector works harder before the system refuses memory.
	debug.SetMemoryLimit(memory / 4 * 3)
	if err := limit(memory); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var m message
		if err := from.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		ask := func(question, answer any) error {
			text, err := json.Marshal(question)
			if err != nil {
				return err
			}
			var reply message
			if err := errors.Join(to.Encode(message{Ask: text}), from.Decode(&reply)); err != nil {
				return err
			}
			if reply.Error != "" {
				return errors.New(reply.Error)
			}
			return json.Unmarshal(reply.Reply, answer)
		}
		answer, last := handle(ctx, m.Task, ask)
		text, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		if err := to.Encode(message{Answer: text, Last: last}); err != nil || last {
			return err
		}
	}
}
