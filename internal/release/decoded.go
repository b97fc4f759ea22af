package release

import (
	"crypto/sha256"
	"sync"
)

// Decoded keeps the record that was decoded last for each environment: the objects of a large release take
// long to decode. Bytes that differ are another record. The zero value can be used, from several goroutines.
type Decoded struct {
	mu  sync.Mutex
	all map[string]decodedRecord
}

type decodedRecord struct {
	sum     [sha256.Size]byte
	release Release
}

// decode decodes a whole record, unless the last one had the same bytes.
func (s Store) decode(stored record) (Release, error) {
	d := s.Decoded
	if d == nil {
		return decode(stored.data, s.Alike)
	}
	key := s.Cluster.Server() + " " + s.Cluster.Namespace() + " " + s.lockName()
	sum := sha256.Sum256(stored.data)
	d.mu.Lock()
	last, known := d.all[key]
	d.mu.Unlock()
	if known && last.sum == sum {
		return last.release, nil
	}
	r, err := decode(stored.data, s.Alike)
	if err != nil {
		return r, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]decodedRecord{}
	}
	d.all[key] = decodedRecord{sum, r}
	return r, nil
}
