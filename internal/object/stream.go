package object

import (
	"encoding/json"
	"fmt"
	"io"
)

// EachField reads an object of JSON, and calls field for each key, to decode its value.
func EachField(d *json.Decoder, field func(key string) error) error {
	if start, err := d.Token(); err != nil {
		return err
	} else if start != json.Delim('{') {
		return fmt.Errorf("not an object: %v", start)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(fmt.Sprint(key)); err != nil {
			return err
		}
	}
	return endOf(d)
}

// EachItem reads a list of JSON, and calls item with the text of each element, which is valid until it
// returns. A list that is null has none.
func EachItem(d *json.Decoder, item func(text []byte) error) error {
	switch start, err := d.Token(); {
	case err != nil || start == nil:
		return err
	case start != json.Delim('['):
		return fmt.Errorf("not a list: %v", start)
	}
	var text json.RawMessage
	for d.More() {
		if err := d.Decode(&text); err != nil {
			return err
		}
		if err := item(text); err != nil {
			return err
		}
	}
	return endOf(d)
}

func endOf(d *json.Decoder) error {
	_, err := d.Token()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
