import pickle

from ifan.errors import IfanError, PictureError


def test_an_error_is_one_line_of_subject_reason_and_remedy():
    error = PictureError("photo.jpg", "is empty", "copy it again")
    assert str(error) == "photo.jpg: is empty; copy it again"
    assert isinstance(error, IfanError)


def test_an_error_survives_the_way_to_another_process():
    error = pickle.loads(pickle.dumps(PictureError("photo.jpg", "is empty", "copy it again")))
    assert type(error) is PictureError
    assert (error.subject, error.reason) == ("photo.jpg", "is empty")
