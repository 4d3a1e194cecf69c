package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// usedEvery is how often uses of tokens are written down: who looks at them wants to know of days.
const usedEvery = time.Minute

// usedFile stands beside the token file: id → Unix seconds. It holds nothing that a token could be made of, and its loss costs nothing.
func (s *Store) usedFile() string { return s.path + ".used" }

// use notes that a token was used now.
func (s *Store) use(id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used == nil {
		s.used = map[string]int64{}
	}
	s.used[id] = now.Unix()
}

// LastUsed returns when a token last let somebody in, as far as it was written down: to the minute. False: never.
func (s *Store) LastUsed(id string) (time.Time, bool) {
	all, err := s.readUsed()
	s.mu.RLock()
	at := max(all[id], s.used[id])
	s.mu.RUnlock()
	return time.Unix(at, 0), err == nil && at > 0
}

func (s *Store) readUsed() (map[string]int64, error) {
	data, err := os.ReadFile(s.usedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the uses of tokens: %w", err)
	}
	all := map[string]int64{}
	if err := json.Unmarshal(data, &all); err != nil {
		return map[string]int64{}, nil //nolint:nilerr // it is written anew
	}
	return all, nil
}

// WriteUsed writes the uses since the last time down, beside those of other processes, at most once a minute unless now is told. Uses of tokens that
// are gone are forgotten.
func (s *Store) WriteUsed(now bool) error {
	s.mu.Lock()
	if len(s.used) == 0 || !now && time.Since(s.wrote) < usedEvery {
		s.mu.Unlock()
		return nil
	}
	s.wrote = time.Now()
	fresh := s.used
	s.used = nil
	known := s.tokens
	s.mu.Unlock()
	all, err := s.readUsed()
	if err != nil {
		return err
	}
	for id, at := range fresh {
		all[id] = max(all[id], at)
	}
	for id := range all {
		if _, there := known[id]; !there {
			delete(all, id)
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("the uses of tokens: %w", err)
	}
	if err := writeWhole(s.usedFile(), data); err != nil {
		return fmt.Errorf("the uses of tokens: %w", err)
	}
	return nil
}
