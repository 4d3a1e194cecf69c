//go:build !windows

package config

import "errors"

func knownPictures() (string, error) { return "", errors.ErrUnsupported }
